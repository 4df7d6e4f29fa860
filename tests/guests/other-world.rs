//! A good component of another world: it exports something else.
#![cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "the exports are generated"))]
#![expect(missing_docs, clippy::pedantic, reason = "the bindings are generated")]

wit_bindgen::generate!({
    inline: "
        package other:greeting@1.0.0;

        interface greeter { greet: func(name: string) -> string; }

        world greeting { export greeter; }
    ",
});

struct Greeter;

#[cfg(target_family = "wasm")]
export!(Greeter);

impl exports::other::greeting::greeter::Guest for Greeter {
    fn greet(name: String) -> String {
        format!("Hello {name}")
    }
}
