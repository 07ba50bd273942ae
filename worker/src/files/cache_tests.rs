use std::path::Component;

use fuzz::Chance;

use super::*;

fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn file(folder: &str, team: &str, digit: char) -> ModelFile {
    ModelFile {
        name: "x".into(),
        folder: folder.into(),
        file: format!("atelier/{team}/{}.safetensors", hash(digit)),
        key: String::new(),
        sha256: hash(digit),
        size: 1,
        arch: String::new(),
    }
}

fn cache(folder: &tempfile::TempDir, budget: u64) -> FileCache {
    FileCache::new(folder.path().to_owned(), Some(budget), StatusBoard::new())
}

fn put(path: PathBuf, size: usize, minutes_ago: u64) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, vec![0; size]).unwrap();
    let used = SystemTime::now() - Duration::from_mins(minutes_ago);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(used).unwrap();
    path
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

#[test]
fn the_longest_unused_go_first_whatever_they_are_and_what_is_needed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder, 100);
    // Nothing is there yet.
    assert_eq!(cache.make_room(50, &none(), Purpose::Run).unwrap(), Room::Enough);
    let [oldest, needed, loaded, wanted, new] = [
        ("checkpoints", "a", '1', 20, 5),
        ("vae", "a", '2', 20, 4),
        ("loras", "b", '3', 20, 3),
        ("controlnet", "b", '4', 20, 2),
        ("loras", "b", '5', 20, 1),
    ]
    .map(|(kind, team, digit, size, age)| put(cache.path(&file(kind, team, digit)).unwrap(), size, age));
    let others = put(folder.path().join("loras/studio.safetensors"), 500, 60);
    let there = || [&oldest, &needed, &loaded, &wanted, &new].map(|path| path.exists());
    assert_eq!(cache.make_room(0, &none(), Purpose::Run).unwrap(), Room::Enough);
    assert_eq!(there(), [true; 5]);
    cache.need(BTreeSet::from([hash('2')]));
    cache
        .status
        .loaded(&["tiny.ckpt".to_owned(), format!("atelier/b/{}.safetensors", hash('3'))]);
    let keep = BTreeSet::from([hash('4')]);
    assert_eq!(cache.make_room(20, &keep, Purpose::Run).unwrap(), Room::Enough);
    assert_eq!(there(), [false, true, true, true, true]);
    assert_eq!(
        cache.make_room(50, &keep, Purpose::Run).unwrap(),
        Room::None,
        "more than can go"
    );
    assert_eq!(there(), [false, true, true, true, true]);
    cache.status.unloaded();
    assert_eq!(cache.make_room(50, &keep, Purpose::Run).unwrap(), Room::Enough);
    assert_eq!(there(), [false, true, false, true, false]);
    assert!(others.exists(), "it is not ours");
}

#[test]
fn nothing_goes_in_vain_for_what_may_be_wanted_and_nothing_at_all_for_what_is_usual() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder, 100);
    let old = put(cache.path(&file("vae", "a", '1')).unwrap(), 60, 5);
    let next = put(cache.path(&file("vae", "a", '2')).unwrap(), 30, 6);
    let keep = BTreeSet::from([hash('2')]);
    for (wanted, purpose, room, stays) in [
        (10, Purpose::Usual, Room::Enough, true),
        (50, Purpose::Usual, Room::None, true),
        (80, Purpose::Next, Room::None, true),
        (70, Purpose::Next, Room::Enough, false),
    ] {
        assert_eq!(
            cache.make_room(wanted, &keep, purpose).unwrap(),
            room,
            "{wanted} {purpose:?}"
        );
        assert_eq!((old.exists(), next.exists()), (stays, true), "{wanted} {purpose:?}");
    }
}

#[test]
fn without_a_budget_the_disk_says_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let cache = FileCache::new(folder.path().to_owned(), None, StatusBoard::new());
    let path = put(cache.path(&file("vae", "a", '1')).unwrap(), 1, 1);
    assert_ne!(cache.make_room(0, &none(), Purpose::Run).unwrap(), Room::None);
    assert_eq!(cache.make_room(u64::MAX, &none(), Purpose::Run).unwrap(), Room::None);
    assert!(path.exists());
}

#[test]
fn of_a_large_disk_a_gibibyte_is_left_and_not_a_hundredth() {
    let room = |size: u64, available: u64, wanted: u64| {
        let disk = Disk {
            size: size << 30,
            free: (size - 4) << 30,
            available: available << 20,
        };
        Limits::of(disk, 0, None).room(0, wanted << 20)
    };
    assert_eq!(room(250, 1100, 50), Room::Enough);
    assert_eq!(room(250, 1100, 100), Room::None);
    assert_eq!(room(8, 200, 100), Room::Enough, "of a small one a hundredth is left");
    assert_eq!(room(8, 200, 150), Room::None);
}

#[test]
fn only_parts_that_nobody_writes_are_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder, 20);
    let part = |digit, age| put(part_of(&cache.path(&file("checkpoints", "a", digit)).unwrap()), 10, age);
    let (dead, fresh, held) = (part('1', 70), part('2', 1), part('3', 80));
    let lock = fs::File::open(&held).unwrap();
    lock.lock().unwrap();
    cache.make_room(0, &none(), Purpose::Run).unwrap();
    assert_eq!([&dead, &fresh, &held].map(|path| path.exists()), [false, true, true]);
    cache.make_room(10, &none(), Purpose::Run).unwrap();
    assert_eq!([&fresh, &held].map(|path| path.exists()), [false, true]);
}

#[test]
fn what_is_there_is_told_latest_first_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let files = cache(&folder, 1000);
    for (kind, team, digit, age) in [("vae", "a", '1', 3), ("loras", "b", '2', 1), ("loras", "a", '2', 2)] {
        put(files.path(&file(kind, team, digit)).unwrap(), 1, age);
    }
    put(part_of(&files.path(&file("vae", "a", '4')).unwrap()), 1, 1);
    put(
        files
            .path(&file("loras", "a", '2'))
            .unwrap()
            .with_extension("0123.safetensors"),
        1,
        0,
    );
    files.tell();
    assert_eq!(files.status.watch().borrow().on_disk, ["22222222", "11111111"]);
    let again = cache(&folder, 1000);
    again.tell();
    assert_eq!(again.status.watch().borrow().on_disk, ["22222222", "11111111"]);
}

#[test]
fn names_lead_nowhere_else() {
    let cache = FileCache::new("/models".into(), None, StatusBoard::new());
    let good = file("checkpoints", "red", 'a');
    let path = format!("/models/checkpoints/atelier/red/{}.safetensors", hash('a'));
    assert_eq!(cache.path(&good).unwrap(), Path::new(&path));
    assert_eq!(team_of(&good), Some(TeamId::new("red")));
    let long = "x".repeat(129);
    for folder in [
        "",
        ".",
        "..",
        "../loras",
        "/etc",
        "checkpoints/",
        "checkpoints/..",
        "Checkpoints",
        "custom_nodes",
        "configs",
        "ｌｏｒａｓ",
        "loras%2f..",
        "loras\0",
        "CON",
        &long,
    ] {
        assert_eq!(cache.path(&file(folder, "red", 'a')), None, "{folder}");
    }
    for team in [
        "",
        ".",
        "..",
        "...",
        ".red",
        "../red",
        "red/..",
        "red/blue",
        "/red",
        "%2e%2e",
        "ｒed",
        "re\u{301}d",
        "red\0",
        "red ",
        "..\\red",
        &long,
    ] {
        assert_eq!(cache.path(&file("loras", team, 'a')), None, "{team}");
    }
    for name in [
        "x".to_owned(),
        "/etc/passwd".to_owned(),
        format!("Atelier/red/{}.safetensors", hash('a')),
        format!("atelier/red/{}.ckpt", hash('a')),
        format!("atelier/red/{}.safetensors", hash('b')),
        format!("atelier/red/{}.safetensors/", hash('a')),
        format!("atelier/red/./{}.safetensors", hash('a')),
        format!("atelier//{}.safetensors", hash('a')),
    ] {
        let file = ModelFile {
            file: name,
            ..good.clone()
        };
        assert_eq!(cache.path(&file), None, "{}", file.file);
    }
    for sha256 in ["A".repeat(64), "a".repeat(63), "g".repeat(64), String::new()] {
        let file = ModelFile {
            file: format!("atelier/red/{sha256}.safetensors"),
            sha256,
            ..good.clone()
        };
        assert_eq!(cache.path(&file), None, "{}", file.file);
    }
}

#[test]
fn fuzz_names() {
    let cache = FileCache::new("/models".into(), None, StatusBoard::new());
    let good = file("loras", "red", 'a');
    let make = |chance: &mut Chance| {
        let mut damaged = |text: &str| {
            if chance.seldom(3) {
                String::from_utf8_lossy(&chance.bytes(&[text])).into_owned()
            } else {
                text.to_owned()
            }
        };
        ModelFile {
            folder: damaged(&good.folder),
            file: damaged(&good.file),
            sha256: damaged(&good.sha256),
            ..good.clone()
        }
    };
    let taken = |file: &ModelFile| {
        let Some(path) = cache.path(file) else { return false };
        let parts: Vec<_> = path.components().collect();
        assert!(
            path.starts_with("/models/loras/atelier") && parts.len() == 6,
            "{path:?}"
        );
        assert!(
            parts[1..].iter().all(|part| matches!(part, Component::Normal(_))),
            "{path:?}"
        );
        assert_eq!(hash_of(&path).as_deref(), Some(file.sha256.as_str()));
        true
    };
    fuzz::run(3000, make, taken);
}

/// A file's size and age, and whether it is kept.
type Known = (usize, u64, bool);

#[test]
fn fuzz_room() {
    let make = |chance: &mut Chance| {
        let count = chance.below(8);
        let files: Vec<Known> = (0..count)
            .map(|place| {
                (
                    chance.below(50),
                    (chance.below(40) * 10 + place) as u64,
                    chance.seldom(4),
                )
            })
            .collect();
        let purpose = *chance.one(&[Purpose::Run, Purpose::Next, Purpose::Usual]);
        (files, purpose, chance.below(150) as u64, chance.below(80) as u64)
    };
    let enough = |(files, purpose, budget, wanted): &(Vec<Known>, Purpose, u64, u64)| {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder, *budget);
        let mut keep = none();
        let mut paths = vec![];
        for ((size, age, kept), digit) in files.iter().zip("01234567".chars()) {
            paths.push(put(cache.path(&file("vae", "a", digit)).unwrap(), *size, *age));
            keep.extend(kept.then(|| hash(digit)));
        }
        let room = cache.make_room(*wanted, &keep, *purpose).unwrap();
        let all = || files.iter().zip(&paths);
        let left: usize = all().filter(|(_, path)| path.exists()).map(|(known, _)| known.0).sum();
        assert_eq!(room == Room::Enough, left as u64 + wanted <= *budget);
        let gone: Vec<_> = all()
            .filter(|(_, path)| !path.exists())
            .map(|(known, _)| known)
            .collect();
        assert!(gone.iter().all(|known| !known.2), "what is kept stays");
        assert!(
            gone.is_empty() || room == Room::Enough && *purpose != Purpose::Usual,
            "nothing goes in vain"
        );
        // Of what may go, what was used last stays.
        let youngest = gone.iter().map(|known| known.1).min();
        let mut stays = all().filter(|(known, path)| !known.2 && path.exists());
        assert!(stays.all(|(known, _)| youngest.is_none_or(|age| known.1 < age)));
        // And no more goes than must.
        let last = gone.iter().min_by_key(|known| known.1).map_or(0, |known| known.0);
        assert!(last == 0 || (left + last) as u64 + wanted > *budget);
        room == Room::Enough
    };
    fuzz::run(200, make, enough);
}
