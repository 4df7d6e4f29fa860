//! Compiled components on disk, so that a start does not compile again what it compiled before.
//!
//! The files are native code: the directory belongs to this account alone, a file is written under another name
//! and renamed, and its content is checked by digest before it is run. Whatever is not right is compiled again.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// How many compiled components are kept; the oldest go first.
const FILES_MAX: usize = 64;
const EXTENSION: &str = "cwasm";
const DIGEST_BYTES: usize = 32;

/// A private directory of compiled components.
pub(super) struct Cache {
    directory: PathBuf,
    /// Hash of the engine's version and settings.
    compatibility: u64,
}

impl Cache {
    pub(super) fn open(directory: &Path, engine: &wasmtime::Engine) -> anyhow::Result<Self> {
        make_private(directory)
            .with_context(|| format!("the compile cache `{}` cannot be used", directory.display()))?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { directory: directory.to_owned(), compatibility: hasher.finish() })
    }

    /// The compiled form of the component with this digest, if it is there and whole.
    pub(super) fn load(&self, digest: &str, engine: &wasmtime::Engine) -> Option<Component> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let component = whole(&bytes).and_then(|code| {
            // SAFETY: the directory is this account's alone (checked when it was opened), only `store` writes
            // files of this name, from what the engine serialized, and the digest in the file shows that it is
            // still that. The name holds the engine's version and settings, and wasmtime checks them again.
            #[expect(unsafe_code, reason = "compiled code cannot be loaded in any other way")]
            unsafe { Component::deserialize(engine, code) }.ok()
        });
        if component.is_none() {
            tracing::warn!(path = %path.display(), "a compiled component is damaged and is compiled again");
            let _ = fs::remove_file(&path);
        }
        component
    }

    /// Keeps a compiled component. A full disk costs a warning and the next start's time.
    pub(super) fn store(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let written =
            component.serialize().map_err(anyhow::Error::from).and_then(|code| Ok(self.write(&path, &code)?));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), "a compiled component cannot be kept: {error:#}");
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&draft, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written?;
        self.prune()
    }

    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == EXTENSION) {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(FILES_MAX);
        files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{:016x}.{EXTENSION}", self.compatibility))
    }
}

/// The code of a file whose digest is right.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (digest, code) = bytes.split_at_checked(DIGEST_BYTES)?;
    (Sha256::digest(code).as_slice() == digest).then_some(code)
}

fn make_private(directory: &Path) -> anyhow::Result<()> {
    if !directory.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // The mode above is cut by the umask, and a parent made on the way has it too.
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    }
    let metadata = fs::metadata(directory)?;
    ensure!(metadata.is_dir(), "it is not a directory");
    ensure!(metadata.uid() == my_uid(directory)?, "it belongs to another account: choose another directory");
    let others = metadata.permissions().mode() & 0o077;
    ensure!(others == 0, "other accounts can get at it: empty it and `chmod 700` it");
    Ok(())
}

/// The account this process runs as: the owner of what it creates.
fn my_uid(directory: &Path) -> io::Result<u32> {
    let probe = directory.join(format!("{}.probe", std::process::id()));
    let uid = fs::File::create(&probe)?.metadata()?.uid();
    fs::remove_file(&probe)?;
    Ok(uid)
}
