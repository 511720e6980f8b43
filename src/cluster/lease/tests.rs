//! Random schedules: messages are delayed, answers are lost, nodes are cut off and killed, clocks differ by minutes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use self::world::{Blow, NODES, STREAMS, World, secs};
use super::*;

mod world;

fn blows(loses_storage: bool) -> impl Strategy<Value = Vec<(u64, Blow)>> {
    let node = 0..NODES;
    let mut kinds: Vec<BoxedStrategy<Blow>> = vec![
        node.clone().prop_map(Blow::Kill).boxed(),
        node.clone().prop_map(Blow::Restart).boxed(),
        node.clone().prop_map(Blow::CutOff).boxed(),
        node.clone().prop_map(Blow::Heal).boxed(),
        node.clone().prop_map(Blow::Unwant).boxed(),
        node.clone().prop_map(Blow::Want).boxed(),
        node.clone().prop_map(Blow::Drain).boxed(),
        (1u64..12).prop_map(Blow::NoLeader).boxed(),
        (node, 0u64..8).prop_map(|(n, seconds)| Blow::Lag(n, seconds)).boxed(),
    ];
    if loses_storage {
        kinds.push(Just(Blow::LoseStorage).boxed());
    }
    prop::collection::vec((0u64..25, proptest::strategy::Union::new(kinds)), 0..12)
}

/// Runs a schedule. Then the network is whole, one node is killed, and the rest take its streams in time.
fn play(mut world: World, blows: Vec<(u64, Blow)>, check: &mut dyn FnMut(&World)) {
    world.pass(secs(5), check);
    for (wait, blow) in blows {
        world.strike(&blow);
        world.pass(secs(wait), check);
    }
    for n in 0..NODES {
        if world.nodes[n].is_draining {
            world.strike(&Blow::Kill(n));
        }
        world.strike(&Blow::Restart(n));
        world.strike(&Blow::Lag(n, 0));
        world.strike(&Blow::Heal(n));
        world.strike(&Blow::Want(n));
    }
    world.no_leader_until = world.now;
    // The end of an old session, then the first write, each with a lost answer and a few late ones.
    let patience = if world.tells_gone { secs(35) } else { secs(50) };
    world.pass(patience, check);
    for stream in STREAMS {
        assert_eq!(world.believers(stream).len(), 1, "{stream}: one node runs it after the network is whole");
    }
    let Some(holder) = world.believers(STREAMS[1]).first().copied() else { return };
    world.strike(&Blow::Kill(holder));
    world.pass(if world.tells_gone { secs(18) } else { secs(40) }, check);
    assert_eq!(world.believers(STREAMS[1]).len(), 1, "another node has taken over");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_nodes_never_believe_that_they_hold_one_stream(
        seed in any::<u64>(),
        ahead in prop::collection::vec(0u64..600, NODES),
        blows in blows(false),
    ) {
        play(World::new(seed, &ahead, false), blows, &mut |world| {
            for stream in STREAMS {
                assert!(world.believers(stream).len() <= 1, "{stream}: {:?}", world.believers(stream));
                assert!(world.runners(stream) <= 1, "{stream}");
            }
        });
    }

    #[test]
    fn a_node_that_is_cut_off_stops_before_its_deadline_also_if_another_has_taken_over_at_once(
        seed in any::<u64>(),
        ahead in prop::collection::vec(0u64..600, NODES),
        blows in blows(true),
    ) {
        let mut both: BTreeMap<&str, Instant> = BTreeMap::new();
        play(World::new(seed, &ahead, true), blows, &mut |world| {
            for stream in STREAMS {
                if world.believers(stream).len() <= 1 {
                    both.remove(stream);
                    continue;
                }
                let since = *both.entry(stream).or_insert(world.now);
                assert!(world.now < since + Times::default().stop_after, "{stream}: {:?}", world.believers(stream));
            }
        });
    }
}

/// A world without delays and losses.
fn calm() -> World {
    let mut world = World::new(1, &[0, 300, 7], true);
    world.is_calm = true;
    world.pass(secs(3), &mut |_| {});
    world
}

fn only_holder(world: &World, stream: &str) -> usize {
    let believers = world.believers(stream);
    assert_eq!(believers.len(), 1, "{stream}: {believers:?}");
    believers[0]
}

#[test]
fn the_streams_of_a_killed_node_are_taken_over_within_five_seconds() {
    let mut world = calm();
    let first = only_holder(&world, "yard");
    world.strike(&Blow::Kill(first));
    world.pass(secs(5), &mut |_| {});
    assert_ne!(only_holder(&world, "yard"), first);
}

#[test]
fn a_node_that_drains_hands_over_at_once_and_is_told_to_wait_for_the_next_picture() {
    let mut world = calm();
    let first = only_holder(&world, "yard");
    world.strike(&Blow::Drain(first));
    world.pass(secs(1), &mut |_| {});
    let next = only_holder(&world, "yard");
    assert_ne!(next, first);
    let role = &world.nodes[first].roles["yard"];
    let Role::Holder { epoch } = world.nodes[next].roles["yard"] else { panic!("{:?}", world.nodes[next].roles) };
    assert_eq!(*role, Role::Follower { node: format!("n{next}"), epoch, handed_over: true });
}

#[test]
fn a_node_without_watchers_gives_its_streams_up_and_one_with_watchers_takes_them() {
    let mut world = calm();
    let first = only_holder(&world, "yard");
    world.strike(&Blow::Unwant(first));
    world.pass(secs(1), &mut |_| {});
    assert_ne!(only_holder(&world, "yard"), first);
    assert!(!world.nodes[first].table.is_giving_up());
    for n in 0..NODES {
        world.strike(&Blow::Unwant(n));
    }
    world.pass(secs(1), &mut |_| {});
    assert_eq!(world.believers("yard"), [] as [usize; 0]);
    assert!(world.nodes[0].table.holder("yard").is_none());
}

#[test]
fn without_a_leader_of_the_storage_for_ten_seconds_the_producer_goes_on() {
    let mut world = calm();
    let first = only_holder(&world, "yard");
    world.strike(&Blow::NoLeader(10));
    world.pass(secs(20), &mut |world| assert_eq!(world.believers("yard"), [first]));
}

#[test]
fn a_node_that_is_cut_off_stops_after_sixteen_seconds_and_begins_a_new_session() {
    let mut world = calm();
    let first = only_holder(&world, "yard");
    world.strike(&Blow::CutOff(first));
    world.pass(secs(17), &mut |_| {});
    assert_eq!(world.nodes[first].roles["yard"], Role::CutOff);
    let second = only_holder(&world, "yard");
    world.strike(&Blow::Heal(first));
    world.pass(secs(6), &mut |_| {});
    assert_eq!(only_holder(&world, "yard"), second);
    assert!(matches!(&world.nodes[first].roles["yard"], Role::Follower { node, .. } if *node == format!("n{second}")));
}

#[test]
fn a_record_of_a_later_version_is_left_alone() {
    let now = Instant::now();
    let mut table = Table::new("n0", 7, Times::default());
    let key = Key::Stream("yard".into());
    table.on(Event::Anew, now);
    table.on(Event::Seen { key: key.clone(), revision: 9, value: Some(Value::Foreign), is_read: false }, now);
    let begun = table.on(Event::Synced, now);
    let [Action::Write(Write { key: session, value, attempt, expected: 0 })] = begun.as_slice() else {
        panic!("{begun:?}")
    };
    let answer = Event::Answer { key: session.clone(), attempt: *attempt, answer: Answer::Written(10) };
    table.on(answer, now);
    table.on(Event::Seen { key: session.clone(), revision: 10, value: Some(value.clone()), is_read: false }, now);
    let wanted =
        ["yard", "door"].map(|stream| table.on(Event::Want { stream: stream.into(), can_run: true }, now)).concat();
    let is_of = |action: &Action, key: &Key| matches!(action, Action::Write(write) if write.key == *key);
    assert!(wanted.iter().any(|action| is_of(action, &Key::Stream("door".into()))), "{wanted:?}");
    assert!(!wanted.iter().any(|action| is_of(action, &key)), "{wanted:?}");
}
