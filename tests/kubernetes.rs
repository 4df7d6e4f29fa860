//! The manifests of examples/deploy/kubernetes: held against the API's schemas, and run as they say, two replicas on real servers.
//! What a cluster would do is done by hand: mounts are folders, each pod's address is a port, and probes are asked. By
//! `dev/kubernetes/under-engine`, each pod is a container.

mod mischief;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bank::{Event, Generator, Model};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::guests;
use crate::support::host::BINARY;
use crate::support::http::Client;
use crate::support::world::{free_port, said};
use crate::support::{Host, Options, World, some_time, until, until_within};

const BASE: &str = "base";
const PRODUCTION: &str = "overlays/production";
const MONITORING: &str = "overlays/monitoring";

/// What a kustomization comes to; each document fits its schema.
fn rendered(name: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = format!("examples/deploy/kubernetes/{name}");
    let ran = Command::new(root.join("dev/kubernetes/check")).arg(folder).current_dir(&root).output();
    let ran = ran.expect("it runs");
    assert!(ran.status.success(), "{name}: {}", said(&ran));
    let lines = String::from_utf8(ran.stdout).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn find<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("a {kind}"))
}

/// The settings of the configuration that a kustomization mounts.
fn settings(documents: &[Value]) -> toml::Table {
    let text = find(documents, "ConfigMap")["data"]["laterna.toml"].as_str().expect("a configuration");
    text.parse().expect("TOML")
}

#[test]
fn the_manifests_fit_their_schemas_each_other_and_the_restricted_standard() {
    for name in [BASE, PRODUCTION] {
        let documents = rendered(name);
        let deployment = &find(&documents, "Deployment")["spec"];
        let pod = &deployment["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
        // What the standard `restricted` asks for.
        let (all, own) = (&pod["securityContext"], &container["securityContext"]);
        assert_eq!(
            (&all["runAsNonRoot"], &all["seccompProfile"]["type"]),
            (&true.into(), &"RuntimeDefault".into())
        );
        assert_eq!(
            (&own["allowPrivilegeEscalation"], &own["readOnlyRootFilesystem"], &own["capabilities"]),
            (&false.into(), &true.into(), &json!({ "drop": ["ALL"] }))
        );
        for kind in pod["volumes"].as_array().expect("volumes") {
            let is_allowed =
                ["configMap", "secret", "emptyDir"].iter().any(|allowed| kind[allowed].is_object());
            assert!(is_allowed, "{kind}");
        }
        // The cluster's own variables would be taken for settings, and nobody needs the cluster's API.
        assert_eq!(
            (&pod["enableServiceLinks"], &pod["automountServiceAccountToken"]),
            (&false.into(), &false.into())
        );
        let labels = deployment["template"]["metadata"]["labels"].as_object().expect("labels");
        let selects = |selector: &Value| {
            let selector = selector.as_object().expect("a selector");
            !selector.is_empty() && selector.iter().all(|(name, value)| labels.get(name) == Some(value))
        };
        let replicas = deployment["replicas"].as_u64().expect("a number");
        for document in &documents {
            let spec = &document["spec"];
            match document["kind"].as_str().expect("a kind") {
                "PodDisruptionBudget" => {
                    assert!(selects(&spec["selector"]["matchLabels"]));
                    assert!(spec["minAvailable"].as_u64().is_some_and(|least| 0 < least && least < replicas));
                }
                "NetworkPolicy" => assert!(selects(&spec["podSelector"]["matchLabels"]), "{document}"),
                "Service" => {
                    assert!(selects(&spec["selector"]), "{document}");
                    let ports = container["ports"].as_array().expect("ports");
                    assert!(
                        ports.iter().any(|port| port["name"] == spec["ports"][0]["targetPort"]),
                        "{document}"
                    );
                }
                _ => {}
            }
        }
        assert!(selects(&deployment["selector"]["matchLabels"]));
        // A stop has its time, and probes ask where the host answers.
        let settings = settings(&documents);
        let stop = settings["host"]["stop_seconds"].as_integer().expect("seconds");
        assert!(pod["terminationGracePeriodSeconds"].as_i64().is_some_and(|grace| grace >= stop + 5));
        let health = settings["host"]["health"].as_str().and_then(|at| at.strip_prefix("0.0.0.0:"));
        let port = container["ports"].as_array().expect("ports").iter().find(|port| port["name"] == "health");
        assert_eq!(port.expect("it is named")["containerPort"].to_string(), health.expect("any address"));
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], "health", "{probe}");
        }
        // Nothing secret stands in what everybody may read.
        let open: Vec<&Value> = documents.iter().filter(|document| document["kind"] != "Secret").collect();
        assert!(!open.iter().any(|document| document.to_string().contains("mysql://")));
    }
    let names = rendered(PRODUCTION);
    let container = find(&names, "Deployment")["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["env"].as_array().map(Vec::len), Some(5), "the patch adds to the base: {container}");
    assert_eq!(
        container["args"],
        find(&rendered(BASE), "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    );
}

#[test]
fn the_monitor_finds_the_port_of_health_of_every_host() {
    let documents = rendered(MONITORING);
    let monitor = find(&documents, "ServiceMonitor");
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().expect("a selector");
    let is_found = |document: &&Value| {
        let labels = &document["metadata"]["labels"];
        document["kind"] == "Service" && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
    };
    let found: Vec<&Value> = documents.iter().filter(is_found).collect();
    let [service] = found[..] else { panic!("one service: {found:?}") };
    assert_eq!(service["spec"]["clusterIP"], "None", "each host is asked, and not one of them");
    let namespaces = &monitor["spec"]["namespaceSelector"]["matchNames"];
    assert_eq!(namespaces, &json!([service["metadata"]["namespace"]]));
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(
        (&endpoint["port"], &endpoint["path"]),
        (&service["spec"]["ports"][0]["name"], &json!("/metrics"))
    );
}

/// A cluster with one node, which has the manifests and their secret.
struct Cluster<'a> {
    world: &'a World,
    documents: Vec<Value>,
}

/// The image that pods are containers of, under an engine; without one they are processes of this machine.
fn image() -> Option<String> {
    std::env::var("LATERNA_TEST_IMAGE").ok()
}

/// A pod.
struct Pod {
    name: String,
    host: Host,
    health: Client,
    /// The paths of its probes.
    probes: BTreeMap<&'static str, String>,
}

impl Cluster<'_> {
    fn container(&self) -> &Value {
        &find(&self.documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    }

    /// Makes the folders that a pod has mounted, with what the volumes hold, and gives each by its path in the container.
    fn mounts(&self, name: &str) -> BTreeMap<String, PathBuf> {
        let root = self.world.folder.path().join(name);
        let pod = &find(&self.documents, "Deployment")["spec"]["template"]["spec"];
        let mut mounts = BTreeMap::new();
        for mount in self.container()["volumeMounts"].as_array().expect("mounts") {
            let path = mount["mountPath"].as_str().expect("a path");
            let folder = root.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(&folder).expect("it is made");
            let volumes = pod["volumes"].as_array().expect("volumes");
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).expect("it is there");
            if volume["secret"].is_object() {
                let mysql = if image().is_some() {
                    // The socket is no file of the container's.
                    let port = std::env::var("LATERNA_MYSQL_PORT").expect("the servers have ports");
                    self.world.url_at(port.parse().expect("a number"))
                } else {
                    self.world.host_url()
                };
                for (key, value) in [
                    ("mongodb-uri", &self.world.options.mongodb),
                    ("mysql-url", &mysql),
                    ("mysql-ddl-url", &mysql),
                ] {
                    std::fs::write(folder.join(key), format!("{value}\n")).expect("it is written");
                }
                std::fs::write(folder.join("tokens.toml"), crate::api::tokens_text()).expect("it is written");
            }
            mounts.insert(path.to_owned(), folder);
        }
        // What stands in the image.
        let plugins = root.join("plugins");
        std::fs::create_dir_all(&plugins).expect("it is made");
        std::fs::copy(guests::path("accounts"), plugins.join("accounts.wasm")).expect("it is copied");
        mounts.insert("/plugins".to_owned(), plugins);
        let text = find(&self.documents, "ConfigMap")["data"]["laterna.toml"].as_str().expect("it is there");
        let text = if image().is_some() { text.to_owned() } else { here(&mounts, text) };
        std::fs::write(mounts["/etc/laterna"].join("laterna.toml"), text).expect("it is written");
        mounts
    }

    /// Starts a pod as the Deployment says, and waits until its startup probe succeeds.
    async fn start(&self) -> Pod {
        // Tests of one program may run at the same time, and an engine knows each name once.
        static PODS: AtomicU32 = AtomicU32::new(0);
        let name = format!("laterna-{}", PODS.fetch_add(1, Ordering::Relaxed));
        let (mounts, container) = (self.mounts(&name), self.container().clone());
        let (health, admin) = (free_port(), free_port());
        let mut variables = BTreeMap::new();
        for variable in container["env"].as_array().expect("variables") {
            let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
                Value::Null => variable["value"].as_str().expect("a value").to_owned(),
                field => {
                    assert_eq!(field, "metadata.name");
                    name.clone()
                }
            };
            variables.insert(variable["name"].as_str().expect("a name").to_owned(), value);
        }
        // A pod has an address of its own; here it has ports. The databases are those of this test.
        variables.insert("LATERNA_HOST__HEALTH".to_owned(), format!("127.0.0.1:{health}"));
        let at = variables.get("LATERNA_HOST__ADMIN").and_then(|at| at.rsplit_once(':'));
        let at = at.map_or_else(|| "127.0.0.1".to_owned(), |(at, _)| at.to_owned());
        variables.insert("LATERNA_HOST__ADMIN".to_owned(), format!("{at}:{admin}"));
        variables.insert("LATERNA_MONGODB__DATABASE".to_owned(), self.world.name.clone());
        variables.insert("LATERNA_MYSQL__CONTROL_SCHEMA".to_owned(), self.world.control());
        let arguments = container["args"].as_array().expect("arguments");
        let arguments = arguments.iter().map(|argument| argument.as_str().expect("text"));
        let command = if let Some(image) = image() {
            let mut command = self.contained(&name, &mounts, &variables);
            command.arg(image).args(arguments);
            command
        } else {
            let mut command = Command::new(BINARY);
            command.env_clear();
            command.envs(variables.iter().map(|(name, value)| (name, here(&mounts, value))));
            if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
                command.env("LLVM_PROFILE_FILE", profile);
            }
            command.args(arguments.map(|argument| here(&mounts, argument)));
            command
        };
        let log = self.world.folder.path().join(format!("{name}.log"));
        let host = Host::start_exactly(command, &log, admin);
        let path = |probe: &str| container[probe]["httpGet"]["path"].as_str().expect("a path").to_owned();
        let probes = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| (probe, path(probe)));
        let pod = Pod { name, host, health: Client::new(health), probes: probes.into() };
        let number = |field: &str| container["startupProbe"][field].as_u64().expect("a number");
        let patience = Duration::from_secs(number("periodSeconds") * number("failureThreshold"));
        until_within(patience, "the startup probe succeeds", async || pod.succeeds("startupProbe").await)
            .await;
        pod
    }

    /// The engine's command that runs a pod as a container, up to its image.
    fn contained(
        &self,
        name: &str,
        mounts: &BTreeMap<String, PathBuf>,
        variables: &BTreeMap<String, String>,
    ) -> Command {
        let (container, pod) = (
            self.container(),
            &find(&self.documents, "Deployment")["spec"]["template"]["spec"]["securityContext"],
        );
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--network", "host", "--name", &contained_name(name)]);
        command.arg("--user").arg(format!("{}:{}", pod["runAsUser"], pod["runAsGroup"]));
        let own = &container["securityContext"];
        assert_eq!(
            (&own["readOnlyRootFilesystem"], &own["allowPrivilegeEscalation"]),
            (&true.into(), &false.into())
        );
        command.args(["--read-only", "--security-opt", "no-new-privileges"]);
        for capability in own["capabilities"]["drop"].as_array().expect("capabilities") {
            command.args(["--cap-drop", capability.as_str().expect("a name")]);
        }
        for (path, folder) in mounts {
            let mounted = container["volumeMounts"].as_array().expect("mounts");
            let is_written =
                mounted.iter().any(|mount| mount["mountPath"] == *path && mount["readOnly"] != true);
            // What `fsGroup` does.
            let mode = std::fs::Permissions::from_mode(if is_written { 0o777 } else { 0o755 });
            std::fs::set_permissions(folder, mode).expect("it is ours");
            let how = if is_written { "" } else { ":ro" };
            command.arg("--volume").arg(format!("{}:{path}{how}", folder.display()));
        }
        for (name, value) in variables {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        // An instrumented binary would write beside itself.
        command.args(["--env", "LLVM_PROFILE_FILE=/dev/null"]);
        command
    }

    async fn start_ready(&self) -> Pod {
        let pod = self.start().await;
        until(&format!("{} is ready:\n{}", pod.name, pod.host.log()), async || {
            pod.succeeds("readinessProbe").await
        })
        .await;
        pod
    }

    /// Ends a pod as the cluster does: it has the grace period, and ends by itself within it.
    async fn end(&self, pod: Pod) {
        let grace =
            &find(&self.documents, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        let asked = Instant::now();
        assert!(pod.succeeds("livenessProbe").await, "{} lives", pod.name);
        assert!(pod.host.stop().await.success(), "{} ends by itself", pod.name);
        assert!(
            asked.elapsed() < Duration::from_secs(grace.as_u64().expect("seconds")),
            "{:?}",
            asked.elapsed()
        );
    }
}

/// The name of a pod's container.
fn contained_name(pod: &str) -> String {
    format!("{pod}-{}", std::process::id())
}

impl Pod {
    /// Ends it as a node does that fails.
    async fn kill(self) {
        if image().is_none() {
            return self.host.kill();
        }
        let killed =
            Command::new("docker").args(["kill", "--signal", "KILL", &contained_name(&self.name)]).output();
        assert!(killed.expect("the engine answers").status.success());
        assert!(!self.host.ended().await.success());
    }

    async fn succeeds(&self, probe: &str) -> bool {
        let answer = self.health.ask("GET", &self.probes[probe], b"").await;
        answer.is_some_and(|answer| (200..400).contains(&answer.code))
    }

    async fn phase(&self) -> String {
        let status = self.host.status("accounts").await.unwrap_or_default();
        status["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is the one that writes.
    async fn leads(&self) -> bool {
        ["history", "streaming"].contains(&&*self.phase().await)
    }
}

/// The paths in a text as they are on this machine.
fn here(mounts: &BTreeMap<String, PathBuf>, text: &str) -> String {
    mounts.iter().fold(text.to_owned(), |text, (path, folder)| {
        // Only what begins there: a folder here may have the same words in it.
        text.split('"')
            .map(|part| match part.strip_prefix(path.as_str()) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    format!("{}{rest}", folder.display())
                }
                _ => part.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\"")
    })
}

/// How many events have been written, and when the last of them was.
type WrittenEvents = mpsc::UnboundedReceiver<(i64, Instant)>;

/// Writes events at an even pace: 500 a second.
fn write(world: &World, events: &[Event]) -> (JoinHandle<()>, WrittenEvents) {
    let (tell, written) = mpsc::unbounded_channel();
    let (writer, events) = (world.writer.clone(), events.to_vec());
    let writing = tokio::spawn(async move {
        let mut sum = 0;
        for chunk in events.chunks(20) {
            writer.insert_history(chunk.iter().cloned()).await.expect("they are written");
            sum += i64::try_from(chunk.len()).expect("few");
            // Not every test listens.
            let _ = tell.send((sum, Instant::now()));
            some_time(40).await;
        }
    });
    (writing, written)
}

/// Waits for all events that are written from now on, and returns the longest time from an event's write to its commit.
async fn longest_delay(world: &World, mut written: WrittenEvents) -> Duration {
    let sql = format!("SELECT CAST(SUM(events) AS SIGNED) FROM {}.checkpoint", world.control());
    let (began, mut longest, mut committed) = (Instant::now(), Duration::ZERO, 0);
    while let Some((events, at)) = written.recv().await {
        while at > began && committed < events {
            some_time(10).await;
            committed = world.number(&sql).await;
        }
        longest = longest.max(if at > began { at.elapsed() } else { Duration::ZERO });
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_as_the_manifests_say_survive_a_kill_and_a_rolling_update() {
    let world = World::new("accounts", Options::mysql()).await;
    let cluster = Cluster { world: &world, documents: rendered(BASE) };
    let settings = settings(&cluster.documents);
    let lease = settings["host"].get("lease_seconds").and_then(toml::Value::as_integer).unwrap_or(10);
    let replicas = find(&cluster.documents, "Deployment")["spec"]["replicas"].as_u64().expect("a number");
    let mut pods = Vec::new();
    for _ in 0..replicas {
        pods.push(cluster.start_ready().await);
    }
    let events: Vec<_> = Generator::new(7, 200).take(12_000).collect();
    let (writing, written) = write(&world, &events);
    // The one that leads is killed, and the other one leads within the lease.
    let leading = usize::from(!pods[0].leads().await);
    until("it leads", async || pods[leading].leads().await).await;
    pods.remove(leading).kill().await;
    let within = Duration::from_secs(u64::try_from(lease).expect("seconds"));
    until_within(within, "the other one leads", async || pods[0].leads().await).await;
    pods.push(cluster.start_ready().await);
    // A rolling update: one more, then one less, until all are new. The rows hardly stand still meanwhile.
    let updating = async {
        for _ in 0..replicas {
            pods.push(cluster.start_ready().await);
            let old = pods.remove(0);
            cluster.end(old).await;
        }
        assert!(!writing.is_finished(), "events were written all the time");
    };
    let (delay, ()) = tokio::join!(longest_delay(&world, written), updating);
    // A build for tests, beside other tests, takes longer to begin; but not as long as a lease that nobody gives back.
    let bound = if image().is_some() { Duration::from_secs(1) } else { within };
    assert!(delay < bound, "{delay:?}");
    writing.await.expect("all is written");
    world.until_committed("accounts", i64::try_from(events.len()).expect("few")).await;
    world.assert_accounts(&Model::from_iter(&events)).await;
    for pod in pods {
        cluster.end(pod).await;
    }
}
