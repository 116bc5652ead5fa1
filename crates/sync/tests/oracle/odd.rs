//! What somebody once got wrong: odd keys and texts, numbers at 2^53, stale announcements, repeated ids.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::json;
use windlass_sync::{Shadow, SyncVec, Tracked};

use crate::shapes::ODD;
use crate::{KEY, Row, Watcher, ops, row};

#[test]
fn odd_keys_are_set_changed_and_deleted_by_their_text() {
    let mut map: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    let mut watcher = Watcher::new(&json!({"map": map}));
    for odd in ODD {
        map.insert(odd.into(), BTreeMap::new());
        watcher.tell(&json!({"map": map}));
        for inner in ODD {
            map.get_mut(odd).unwrap().insert(inner.into(), 1);
            watcher.tell(&json!({"map": map}));
            map.get_mut(odd).unwrap().insert(inner.into(), 2);
            let key = serde_json::to_string(inner).unwrap();
            let path = format!(r#"["map",{},{key},2]"#, serde_json::to_string(odd).unwrap());
            assert_eq!(watcher.tell(&json!({"map": map})), path);
        }
    }
    for odd in ODD {
        map.remove(odd);
        watcher.tell(&json!({"map": map}));
    }
}

#[test]
fn a_key_that_comes_twice_is_told_as_a_whole() {
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct Same(u8);
    impl Serialize for Same {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str("same")
        }
    }
    let mut map = BTreeMap::from([(Same(1), 1), (Same(2), 2)]);
    let (mut shadow, mut out) = (Shadow::new(KEY), Vec::new());
    shadow.snapshot(&BTreeMap::from([("map", map.clone())]), &mut out).unwrap();
    out.clear();
    map.insert(Same(3), 3);
    shadow.diff(&BTreeMap::from([("map", map.clone())]), &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), r#"["map",{"same":1,"same":2,"same":3}]"#);
    out.clear();
    map.retain(|key, _| key.0 == 3);
    shadow.diff(&BTreeMap::from([("map", map)]), &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), r#"["map",{"same":3}]"#);
}

#[test]
fn a_tail_begins_between_two_characters() {
    let text = |text: &str| BTreeMap::from([("text", text.to_owned())]);
    assert_eq!(ops(&text("𝄞"), &text("𝄞🎼")), r#"[4,"text","🎼"]"#);
    assert_eq!(ops(&text("e"), &text("e\u{301}")), "[4,\"text\",\"\u{301}\"]");
    // The first bytes of the two are the same, but no text.
    assert_eq!(ops(&text("é"), &text("ê-")), r#"["text","ê-"]"#);
    let long = "𝄞".repeat(100);
    assert_eq!(ops(&text(&long), &text(&format!("{long}🎼"))), r#"[4,"text","🎼"]"#);
}

#[test]
fn numbers_at_the_edge_of_doubles_keep_their_digits() {
    let edge = 1_i128 << 53;
    let number = |number: i128| BTreeMap::from([("n", number)]);
    for value in [edge - 1, edge, edge + 1, edge + 2, -edge - 1, i64::MIN.into(), u64::MAX.into(), i128::MAX] {
        assert_eq!(ops(&number(0), &number(value)), format!(r#"["n",{value}]"#));
        assert_eq!(ops(&number(value), &number(value - 1)), format!(r#"["n",{}]"#, value - 1));
    }
    // One JSON value in two types.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Real(f64),
    }
    let number = |number| BTreeMap::from([("n", number)]);
    assert_eq!(ops(&number(Number::Whole(7)), &number(Number::Real(7.0))), "");
    assert_eq!(ops(&number(Number::Real(0.0)), &number(Number::Real(-0.0))), r#"["n",-0.0]"#);
}

#[test]
fn the_first_number_without_a_text_is_named() {
    #[derive(Serialize)]
    struct Loss {
        epochs: Vec<f64>,
        best: BTreeMap<&'static str, f32>,
    }
    let mut state = Loss { epochs: vec![0.5, 0.25], best: BTreeMap::from([("a", 1.0)]) };
    let (mut shadow, mut out) = (Shadow::new(KEY), Vec::new());
    shadow.snapshot(&state, &mut out).unwrap();
    assert_eq!(shadow.take_not_finite(), None);
    state.epochs[1] = f64::NEG_INFINITY;
    state.best.insert("a", f32::NAN);
    out.clear();
    shadow.diff(&state, &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), r#"["epochs",1,null],["best","a",null]"#);
    assert_eq!(shadow.take_not_finite().as_deref(), Some("epochs.1"));
    // Told once; what stays as it is, is not told again.
    shadow.diff(&state, &mut out).unwrap();
    assert_eq!(shadow.take_not_finite(), None);
    state.best.insert("b", f32::INFINITY);
    shadow.diff(&state, &mut out).unwrap();
    assert!(shadow.take_not_finite().unwrap().starts_with("best.b"));
}

#[test]
fn empty_and_deep_containers_come_and_go() {
    let deep = |depth: usize, inner: serde_json::Value| {
        (0..depth).fold(inner, |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "": inner }) })
    };
    let mut watcher = Watcher::new(&json!({"deep": deep(100, json!({}))}));
    for inner in [json!([]), json!({}), json!(null), json!({"a": {}}), json!([[], {}]), json!("")] {
        watcher.tell(&json!({"deep": deep(100, inner)}));
    }
    watcher.tell(&json!({}));
    watcher.tell(&json!({"deep": deep(3, json!([]))}));
}

/// Serde writes an internally tagged enum around another by way of a buffer: first it serialises everything inside
/// into it, so that every `Tracked` announces itself there, and then the buffer into our serializer. A walk that
/// believed the announcement that came last, without a look at the value it was for, gave every row the generation
/// of the last, and a change of the others was lost.
#[test]
fn announcements_that_a_buffer_made_stale_are_not_believed() {
    #[derive(Clone, Serialize)]
    #[serde(tag = "kind")]
    enum Outer {
        Wrapped(Inner),
    }
    #[derive(Clone, Serialize)]
    enum Inner {
        Rows { rows: Vec<Tracked<Row>>, one: Tracked<Row> },
    }
    let rows = (0..3).map(|id| Tracked::new(row(id))).collect();
    let mut state = BTreeMap::from([("outer", Outer::Wrapped(Inner::Rows { rows, one: Tracked::new(row(9)) }))]);
    let mut watcher = Watcher::new(&state);
    for at in [0, 2, 1] {
        let Some(Outer::Wrapped(Inner::Rows { rows, .. })) = state.get_mut("outer") else { panic!("it stays") };
        rows[at].qty += 100;
        let qty = rows[at].qty;
        assert_eq!(watcher.tell(&state), format!(r#"["outer","Rows","rows",{at},"qty",{qty}]"#));
        let Some(Outer::Wrapped(Inner::Rows { one, .. })) = state.get_mut("outer") else { panic!("it stays") };
        one.qty += 1;
        let qty = one.qty;
        assert_eq!(watcher.tell(&state), format!(r#"["outer","Rows","one","qty",{qty}]"#));
    }
}

#[test]
fn clones_with_the_same_id_are_told_apart_by_their_order() {
    let first = Tracked::new(row(1));
    let mut list = BTreeMap::from([("rows", vec![first.clone(), Tracked::new(row(2)), first.clone(), first])]);
    let mut watcher = Watcher::new(&list);
    // One of the clones goes its own way; the id stays.
    list.get_mut("rows").unwrap()[2].qty = 99;
    assert_eq!(watcher.tell(&list), r#"["rows",2,"qty",99]"#);
    list.get_mut("rows").unwrap().remove(0);
    watcher.tell(&list);
    list.get_mut("rows").unwrap().swap(1, 2);
    watcher.tell(&list);
    let rows = list.get_mut("rows").unwrap();
    let again = rows[1].clone();
    rows.insert(0, again);
    watcher.tell(&list);
}

/// Each level is planned, compared with its plain value and perhaps replaced: none of it may serialise all that is
/// inside once more for every level.
#[test]
fn sixty_changed_lists_inside_each_other_are_serialised_in_linear_time() {
    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }
    struct Counted(u32);
    impl Serialize for Counted {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            COUNT.set(COUNT.get() + 1);
            serializer.serialize_u32(self.0)
        }
    }
    #[derive(Serialize)]
    struct Level {
        id: u32,
        leaves: Vec<Counted>,
        rows: SyncVec<u32>,
        inner: Vec<Tracked<Level>>,
    }
    fn level(depth: u32, leaves: std::ops::Range<u32>) -> Level {
        let inner = if depth == 0 { vec![] } else { vec![Tracked::new(level(depth - 1, leaves.clone()))] };
        let rows = leaves.clone().collect();
        Level { id: depth, leaves: leaves.map(Counted).collect(), rows, inner }
    }
    let count = |depth| {
        let mut shadow = Shadow::new(KEY);
        shadow.snapshot(&level(depth, 0..20), &mut Vec::new()).unwrap();
        let (after, mut out) = (level(depth, 3..25), Vec::new());
        COUNT.set(0);
        shadow.diff(&after, &mut out).unwrap();
        COUNT.get()
    };
    let (short, long) = (count(30), count(60));
    assert!(long < short * 5 / 2, "{short} leaves at 30 levels, {long} at 60");
}

/// MINIMAL
#[test]
fn a_window_that_rolls_by_many_is_two_ops_however_long_it_is() {
    for length in [10, 1_000] {
        let window = |from: u32| BTreeMap::from([("rows", (from..from + length).map(row).collect::<Vec<_>>())]);
        let mut watcher = Watcher::new(&window(0));
        for step in [1, 4, 9] {
            let text = watcher.tell(&window(step));
            assert!(text.matches(r#","rows","#).count() == 2, "{text}");
        }
        let mut rows: SyncVec<Row> = (0..length).map(row).collect();
        let mut watcher = Watcher::new(&BTreeMap::from([("rows", rows.clone())]));
        for step in 0..5 {
            rows.push(row(length + step));
            rows.remove(0);
            let text = watcher.tell(&BTreeMap::from([("rows", rows.clone())]));
            assert!(text.matches(r#","rows","#).count() == 2, "{text}");
        }
    }
}

/// Each had its item begun on the new tape when the id turned out to be another, and the list was planned from there.
#[test]
fn an_id_that_becomes_tracked_or_comes_later_is_changed_in_place() {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Id {
        Plain(u32),
        Tracked(Tracked<u32>),
    }
    let rows = |id: Id| BTreeMap::from([("rows", vec![BTreeMap::from([("id", id)])])]);
    let mut watcher = Watcher::new(&rows(Id::Plain(1)));
    assert_eq!(watcher.tell(&rows(Id::Tracked(Tracked::new(2)))), r#"["rows",0,"id",2]"#);
    assert_eq!(watcher.tell(&rows(Id::Plain(3))), r#"["rows",0,"id",3]"#);

    struct Pairs(Vec<(&'static str, u32)>);
    impl Serialize for Pairs {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }
    let rows = |first, second| BTreeMap::from([("rows", vec![Pairs(vec![first, second])])]);
    let mut watcher = Watcher::new(&rows(("id", 1), ("a", 1)));
    assert_eq!(watcher.tell(&rows(("a", 1), ("id", 2))), r#"["rows",0,"id",2]"#);
    watcher.tell(&rows(("id", 3), ("a", 2)));
}
