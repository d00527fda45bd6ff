//! The program: hands its arguments to the library and gives back an exit code.

use std::process::ExitCode;

use flightdeck::{agents, stages};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "stage" => stages::run(rest).await,
        Some((first, rest)) if first == "agent" => agents::run(&rest.join(" ")).await,
        _ => ExitCode::from(2),
    }
}
