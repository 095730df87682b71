//! The command line and its help, and the page about it.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn serve_is_the_default_command() {
    let cli = parse("llm-balancer --config x.yaml --port 80").unwrap();
    assert!(cli.command.is_none());
    assert_eq!(cli.serve.unwrap().listen.port(), 80);
    let cli = parse("llm-balancer serve --config x.yaml").unwrap();
    let Some(Command::Serve(serve)) = cli.command else { panic!("not serve") };
    assert_eq!((serve.listen.port(), serve.listen.admin_port()), (4000, 9901));
}

#[test]
fn color_is_an_option_of_every_command() {
    for line in
        ["llm-balancer --color never --config x.yaml", "llm-balancer check --config x.yaml --color never"]
    {
        assert_eq!(parse(line).unwrap().color, ColorChoice::Never, "{line}");
    }
}

#[test]
fn every_command_has_examples_and_says_its_exit_codes() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        let help = command.render_help().to_string();
        assert!(help.contains("Examples:\n  llm-balancer ") && help.contains("Exit codes:"), "{help}");
        assert_eq!(help.contains("Envoy exited"), command.get_name() == "serve", "{help}");
    }
}

#[test]
fn the_page_of_the_command_line_has_every_option_and_no_other() {
    let page = include_str!("../../../docs/command-line.md");
    let mut cli = Cli::command();
    cli.build();
    let commands: Vec<_> = cli.get_subcommands().filter(|command| command.get_name() != "help").collect();
    let options = commands.iter().flat_map(|command| command.get_arguments()).chain(cli.get_arguments());
    let options: BTreeSet<_> = options.filter_map(|option| option.get_long()).collect();
    for command in commands.iter().map(|command| command.get_name()) {
        assert!(page.contains(&format!("| `{command}` |")), "{command}");
    }
    let is_name = |char: char| char.is_ascii_lowercase() || char == '-';
    let written = page.split("--").skip(1).filter_map(|text| text.split(|char| !is_name(char)).next());
    let written: BTreeSet<_> =
        written.filter(|name| name.starts_with(|char: char| char.is_ascii_lowercase())).collect();
    let missing: Vec<_> = options.difference(&written).collect();
    let unknown: Vec<_> = written.difference(&options).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

#[test]
fn the_help_of_render_says_which_target_an_option_is_for() {
    let mut cli = Cli::command();
    cli.build();
    let help = cli.find_subcommand_mut("render").unwrap().render_help().to_string();
    let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("no {text} in {help}"));
    let (own, mesh) = (place("(--target envoy):"), place("(--target istio,"));
    for option in ["--host <", "--port <", "--admin-port <", "--metrics-port <", "--hops <"] {
        assert!(own < place(option) && place(option) < mesh, "{option}: {help}");
    }
    assert!(place("--insecure-no-auth") < own, "it is for each target: {help}");
}

#[test]
fn shells_complete_every_command() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "llm-balancer", &mut script);
        let script = String::from_utf8(script).unwrap();
        for word in ["serve", "check", "status", "render", "completions", "drain-timeout"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn check_needs_nothing_of_serve() {
    let cli = parse("llm-balancer check --config x.yaml").unwrap();
    assert!(matches!(cli.command, Some(Command::Check(_))));
    assert!(cli.serve.is_none());
}

#[test]
fn a_host_is_an_address_or_localhost() {
    assert!(parse("llm-balancer --config x.yaml --host localhost").is_ok());
    assert!(parse("llm-balancer --config x.yaml --host ::1").is_ok());
    assert!(parse("llm-balancer --config x.yaml --host example.com").is_err());
}
