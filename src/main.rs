//! The program: hands its arguments to the library and gives back an exit code.

use std::{path::Path, process::ExitCode};

use flightdeck::{agents, embedded::shim, stages};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // A shim is one per container and lives as long: it gets no runtime.
    if let [first, flag, spec] = &arguments[..]
        && (first.as_str(), flag.as_str()) == ("shim", "--spec")
    {
        return shim::main(Path::new(spec));
    }
    run(&arguments)
}

#[tokio::main]
async fn run(arguments: &[String]) -> ExitCode {
    match arguments.split_first() {
        Some((first, rest)) if first == "stage" => stages::run(rest).await,
        Some((first, rest)) if first == "agent" => agents::run(&rest.join(" ")).await,
        _ => ExitCode::from(2),
    }
}
