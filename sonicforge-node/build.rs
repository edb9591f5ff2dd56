//! Tells the linker that a host, not this library, brings the Node-API.

fn main() {
    napi_build::setup();
}
