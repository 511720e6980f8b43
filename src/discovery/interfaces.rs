//! The network interfaces of a search.

use std::net::{IpAddr, Ipv4Addr};

use getifaddrs::{Address, Interface, InterfaceFlags, getifaddrs};
use serde::Serialize;
use utoipa::ToSchema;

/// Most interfaces of a search. A host of many containers has hundreds.
const MAX: usize = 16;

/// An interface with one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NetworkInterface {
    /// Such as `eth0`.
    pub name: String,
    /// Its IPv4 address.
    #[schema(value_type = String)]
    pub address: Ipv4Addr,
}

/// An interface of this machine, with its properties.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    interface: NetworkInterface,
    is_loopback: bool,
    can_multicast: bool,
}

/// The interfaces with these names or addresses. Without names: all interfaces that are up and take multicast, without loopback. The second
/// list has the problems, such as a name without an interface.
pub(super) fn chosen(names: &[String]) -> std::io::Result<(Vec<NetworkInterface>, Vec<String>)> {
    let candidates: Vec<_> = getifaddrs()?.filter_map(|found| candidate(&found)).collect();
    Ok(choose(&candidates, names))
}

fn candidate(found: &Interface) -> Option<Candidate> {
    let Address::V4(address) = &found.address else { return None };
    if !found.flags.contains(InterfaceFlags::UP) {
        return None;
    }
    Some(Candidate {
        interface: NetworkInterface { name: found.name.clone(), address: address.address },
        is_loopback: found.flags.contains(InterfaceFlags::LOOPBACK),
        can_multicast: found.flags.contains(InterfaceFlags::MULTICAST),
    })
}

fn choose(candidates: &[Candidate], names: &[String]) -> (Vec<NetworkInterface>, Vec<String>) {
    let mut problems = vec![];
    let is_named = |c: &Candidate, name: &str| {
        c.interface.name == name || name.parse::<IpAddr>().is_ok_and(|ip| ip == IpAddr::V4(c.interface.address))
    };
    let mut taken: Vec<_> = if names.is_empty() {
        candidates.iter().filter(|c| c.can_multicast && !c.is_loopback).map(|c| c.interface.clone()).collect()
    } else {
        for name in names.iter().filter(|name| !candidates.iter().any(|c| is_named(c, name))) {
            problems.push(format!("there is no interface {name} that is up and has an IPv4 address"));
        }
        // Without a check for multicast: loopback takes multicast, but does not have the flag.
        candidates.iter().filter(|c| names.iter().any(|name| is_named(c, name))).map(|c| c.interface.clone()).collect()
    };
    if taken.len() > MAX {
        problems.push(format!("there are {} interfaces, and only the first {MAX} are used; name others", taken.len()));
        taken.truncate(MAX);
    }
    (taken, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_all_interfaces_but_loopback_are_used() {
        let candidate = |name: &str, last, is_loopback, can_multicast| Candidate {
            interface: NetworkInterface { name: name.into(), address: Ipv4Addr::new(192, 0, 2, last) },
            is_loopback,
            can_multicast,
        };
        let all =
            [candidate("lo", 1, true, false), candidate("eth0", 2, false, true), candidate("tun0", 3, false, false)];
        for (names, expected, problem) in [
            (&[][..], &["eth0"][..], None),
            (&["tun0"], &["tun0"], None),
            (&["192.0.2.1", "eth0"], &["lo", "eth0"], None),
            (&["eth1"], &[], Some("no interface eth1")),
        ] {
            let names: Vec<_> = names.iter().map(|name: &&str| (*name).to_owned()).collect();
            let (taken, problems) = choose(&all, &names);
            assert_eq!(taken.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), expected, "{names:?}");
            assert_eq!(problems.len(), usize::from(problem.is_some()));
            assert!(problem.is_none_or(|says| problems[0].contains(says)), "{problems:?}");
        }
        let many: Vec<_> = (0..40).map(|n| candidate(&format!("br{n}"), n, false, true)).collect();
        let (taken, problems) = choose(&many, &[]);
        assert!(taken.len() == MAX && problems[0].contains("40 interfaces"), "{problems:?}");
    }

    #[test]
    fn loopback_is_found_by_its_address() {
        let (taken, problems) = chosen(&["127.0.0.1".into()]).expect("a list");
        assert!(taken.len() == 1 && problems.is_empty(), "{taken:?} {problems:?}");
    }
}
