//! The script of a GPU instance's first boot, run with commands of ours in place of the system's.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::support::workspace;

/// The script as the template has it, with the values that CloudFormation puts in.
fn script() -> String {
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let (_, rest) = template.split_once("#!/bin/bash\n").unwrap();
    let (script, _) = rest.split_once("            - Api:").unwrap();
    let lines = script
        .lines()
        .map(|line| line.strip_prefix("              ").unwrap_or(line));
    let script = lines.collect::<Vec<_>>().join("\n");
    let values = [
        ("${DeadManMinutes}", "60"),
        ("${Api}", "https://api"),
        ("${TokenAudience}", "painters"),
        ("${AWS::Region}", "eu-1"),
        ("${FileSystem}", ""),
        ("${AccessPoint}", ""),
        ("${LogGroup}", ""),
    ];
    let script = values
        .into_iter()
        .fold(script, |script, (name, value)| script.replace(name, value));
    assert!(!script.contains("${"), "{script}");
    script
}

fn command(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The metadata know the instance's tags some seconds late: until then a 404, or nothing.
#[test]
fn the_first_boot_waits_for_the_name_of_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (root, bin) = (folder.path().join("root"), folder.path().join("bin"));
    for folder in [root.join("etc/systemd/system"), bin.clone()] {
        fs::create_dir_all(folder).unwrap();
    }
    let count = folder.path().join("count");
    let answers = format!(
        "case $* in */api/token) echo token;; *) echo >>{count}; case $(wc -l <{count}) in 1|2) exit 22;; 3) ;; *) echo w-1;; esac;; esac",
        count = count.display(),
    );
    command(&bin, "curl", &answers);
    command(&bin, "sleep", "true");
    let log = folder.path().join("log");
    command(&bin, "systemctl", &format!("echo \"$@\" >>{}", log.display()));
    let script = script()
        .replace(" /etc/", &format!(" {}/etc/", root.display()))
        .replace(" /usr/", &format!(" {}/usr/", root.display()));
    let script = format!("PATH={}:$PATH\n{script}", bin.display());
    let status = Command::new("bash").args(["-c", &script]).status().unwrap();
    assert!(status.success());
    let settings = fs::read_to_string(root.join("etc/atelier/worker.env")).unwrap();
    assert!(
        settings.lines().any(|line| line == "ATELIER_WORKER_ID=w-1"),
        "{settings}"
    );
    assert_eq!(fs::read_to_string(count).unwrap().lines().count(), 4);
    // The dead man is there before anything is waited for.
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.find("atelier-dead-man.timer") < log.find("atelier-worker.service"),
        "{log}"
    );
}
