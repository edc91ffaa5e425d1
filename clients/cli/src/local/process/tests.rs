//! Real children, harmless ones.

use super::*;

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits until a process has ended by itself; how, in words.
async fn first_death(supervisor: &mut Supervisor) -> String {
    loop {
        if let Some(death) = supervisor.deaths().first() {
            return death.to_string();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn it_ends_exactly_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let mut stranger = command("sleep", &["60"]).spawn().unwrap();
    let mut supervisor = Supervisor::default();
    for name in ["one", "two"] {
        let log = folder.path().join(name);
        supervisor
            .start(name, command("sleep", &["60"]), &log)
            .unwrap();
    }
    let pids = supervisor.pids();
    assert_eq!(pids.len(), 2);
    assert!(supervisor.deaths().is_empty());

    // Long enough that only an ending by itself explains what follows.
    const GRACE: Duration = Duration::from_secs(30);
    let begin = Instant::now();
    assert!(supervisor.stop(GRACE).await.is_empty());
    assert!(begin.elapsed() < GRACE);
    assert!(pids.iter().all(|pid| !alive(*pid)));
    assert_eq!(stranger.try_wait().unwrap(), None, "the stranger lives on");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_process_that_will_not_listen_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("deaf");
    let mut supervisor = Supervisor::default();
    let deaf = command(
        "sh",
        &["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
    );
    supervisor.start("deaf", deaf, &log).unwrap();
    // It is deaf once it has said so.
    while !std::fs::read_to_string(&log).unwrap().contains("deaf") {
        assert!(supervisor.deaths().is_empty());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = supervisor.pids()[0];
    assert_eq!(supervisor.stop(Duration::from_millis(300)).await, ["deaf"]);
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_death_is_reported_once_with_the_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("miner.log");
    let mut supervisor = Supervisor::default();
    let script = "for i in $(seq 50); do echo line $i; done; echo the reason >&2; exit 3";
    supervisor
        .start("miner", command("sh", &["-c", script]), &log)
        .unwrap();
    let sleeper = command("sleep", &["60"]);
    supervisor
        .start("sleeper", sleeper, &folder.path().join("sleeper"))
        .unwrap();
    let error = first_death(&mut supervisor).await;
    assert!(error.starts_with("miner ended (exit status: 3)"), "{error}");
    assert!(error.ends_with("line 50\nthe reason"), "{error}");
    assert!(!error.contains("line 1\n"), "{error}");
    assert!(supervisor.deaths().is_empty());
    assert_eq!(supervisor.pids().len(), 1, "the others run on");
}

#[tokio::test]
async fn dropping_the_supervisor_leaves_nobody_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::default();
    let log = folder.path().join("log");
    supervisor
        .start("sleeper", command("sleep", &["60"]), &log)
        .unwrap();
    let pid = supervisor.pids()[0];
    drop(supervisor);
    // The kernel delivers the signal in its own time.
    for _ in 0..500 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{pid} still runs");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut supervisor = Supervisor::default();
    let missing = Command::new("/nonexistent/program");
    // With the wrapper it is the wrapper that fails, at once and in words.
    let error = match supervisor.start("ghost", missing, &log) {
        Err(error) => format!("{error:#}"),
        Ok(()) => first_death(&mut supervisor).await,
    };
    assert!(
        error.contains("ghost") && error.contains("/nonexistent/program"),
        "{error}"
    );
}

#[tokio::test]
async fn a_child_dies_with_its_parent() {
    if !dies_with_parent() {
        // Not by `eprintln!`, which is not shown of a test that passes.
        let words = b"SKIPPED: on this system a child does not die with its parent\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words);
        return;
    }
    // A shell between us and the child, which starts it as we would and is then killed.
    let inner = with_parent(command("sleep", &["60"]));
    let words: Vec<&str> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| word.to_str().unwrap())
        .collect();
    let script = format!("{} & echo $!; wait", words.join(" "));
    let mut parent = command("sh", &["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = parent.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let child: u32 = line.trim().parse().unwrap();
    let is_sleep = || {
        std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "sleep\n")
    };
    // Asking for the signal comes before becoming `sleep`.
    while !is_sleep() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    while is_sleep() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
