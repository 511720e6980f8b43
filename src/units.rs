//! Durations, sizes and networks in the notation of configuration files.
//!
//! The notation is that of MediaMTX (`10s`, `1m30s`, `50M`), so that a value can be copied between `mediamtx.yml` and
//! `sidecar.yml`. This module has no defaults and knows no setting by name.

use std::{
    fmt,
    net::IpAddr,
    ops::Deref,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written `500ms`, `10s`, `1m30s`, `1h` or `7d`. A number without a unit is refused, as in MediaMTX,
/// because `10` could mean seconds or milliseconds.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// A duration in seconds.
    pub const fn secs(secs: u64) -> Self {
        HumanDuration(Duration::from_secs(secs))
    }

    /// A duration in milliseconds.
    pub const fn millis(millis: u64) -> Self {
        HumanDuration(Duration::from_millis(millis))
    }
}

impl Deref for HumanDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let ends_in_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        match humantime::parse_duration(text) {
            Ok(duration) if ends_in_unit => Ok(HumanDuration(duration)),
            _ => Err(format!("{text:?} is not a duration; write a number and a unit, such as 500ms, 10s, 1m30s or 1h")),
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace(' ', ""))
    }
}

/// A number of bytes, written `500K`, `16M` or `2G` (powers of 1024, as in mediamtx.yml), or without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// A size in mebibytes.
    pub const fn mib(n: u64) -> Self {
        Size(n << 20)
    }

    /// The size as `usize`; saturates on 32-bit machines.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size; write a number of bytes, or one with K, M or G, such as 16M");
        let upper = text.trim().to_ascii_uppercase();
        let upper = upper.strip_suffix("IB").or(upper.strip_suffix('B')).unwrap_or(&upper);
        let units = [('K', 10), ('M', 20), ('G', 30)];
        let with_unit = units.into_iter().find_map(|(unit, shift)| Some((upper.strip_suffix(unit)?, shift)));
        let (digits, shift) = with_unit.unwrap_or((upper, 0));
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n != 0 && n % (1 << 30) == 0 => write!(f, "{}G", n >> 30),
            n if n != 0 && n % (1 << 20) == 0 => write!(f, "{}M", n >> 20),
            n if n != 0 && n % (1 << 10) == 0 => write!(f, "{}K", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

/// Whether the address is the one that programs of this machine have when they connect to it: 127.0.0.1 or ::1, the addresses
/// of the shipped rule for this machine.
pub fn is_this_machine(ip: IpAddr) -> bool {
    ip.to_canonical() == IpAddr::from([127, 0, 0, 1]) || ip == IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
}

/// The network that counts as one host: an IPv4 address itself, and the /64 of an IPv6 address, of which every host can use
/// any address (RFC 6177). An IPv4 address from a dual-stack socket counts as the IPv4 address.
pub fn host_network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

/// Whether the forms of HTTP and RFC 3339 have the time: the years 1970 to 9999. Files can have any other.
pub fn is_writable(at: SystemTime) -> bool {
    at.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() <= LATEST_SECONDS)
}

/// The last second of the year 9999, in seconds since 1970.
pub const LATEST_SECONDS: u64 = 253_402_300_799;

/// Reads a date with a time such as `2026-11-26T12:00:00Z` (RFC 3339). Without a zone it is UTC.
///
/// humantime, which writes such times, reads none after January 2038 where a pointer has 32 bits.
pub fn timestamp(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    // A zone in brackets (RFC 9557) without an offset would be ignored.
    let civil: jiff::civil::DateTime = text.parse().ok().filter(|_| !text.contains('['))?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// A network (`192.168.0.0/16`) or a single address (`192.168.1.20`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Network {
    /// Whether the network contains the address. An IPv4 address from a dual-stack socket (`::ffff:192.0.2.1`)
    /// counts as the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }

    /// Whether the network contains the other one.
    pub fn covers(&self, other: &Network) -> bool {
        self.0.contains(&other.0)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(Network)
            .map_err(|_| format!("{text:?} is not an address or network; write 192.168.1.20 or 192.168.0.0/16"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// Whether one of the networks contains the address.
pub fn any_contains(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|n| n.contains(ip))
}

/// The addresses of this machine itself.
#[expect(clippy::expect_used, reason = "the literals are networks, as tests show")]
pub fn loopback_networks() -> Vec<Network> {
    ["127.0.0.0/8", "::1"].iter().map(|n| n.parse().expect("the literals above are networks")).collect()
}

/// The networks in which cameras usually are: loopback, private (RFC 1918, RFC 4193) and link-local ranges.
#[expect(clippy::expect_used, reason = "the literals are networks, and every start parses them")]
pub fn private_networks() -> Vec<Network> {
    ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1", "fc00::/7", "fe80::/10"]
        .iter()
        .map(|n| n.parse().expect("the literals above are networks"))
        .collect()
}

/// Implements serde through the text form. Also reads numbers, which a size can be.
macro_rules! as_text {
    ($type:ty, $expecting:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                from.deserialize_any(Visitor)
            }
        }
    };
}

as_text!(HumanDuration, "a duration such as 10s");
as_text!(Size, "a size such as 16M");
as_text!(Network, "an address or network such as 192.168.0.0/16");

/// An address and port that need not be set, for `#[serde(with = "optional_address")]`: empty for none.
pub mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes it; empty text for none.
    pub fn serialize<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    /// Reads it. The error shows the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| de::Error::custom(format!("{text:?} is not an address and port")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_in_mediamtx() {
        for (text, millis) in
            [("10s", 10_000), ("500ms", 500), ("1m30s", 90_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            let duration: HumanDuration = text.parse().expect(text);
            assert_eq!(duration.as_millis(), millis, "{text}");
            assert_eq!(duration.to_string().parse::<HumanDuration>(), Ok(duration));
        }
        for wrong in ["", "10", "ten", "-1s", "1x", "s", "0"] {
            assert!(wrong.parse::<HumanDuration>().is_err(), "{wrong:?} should be refused");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("8M", 8 << 20),
            ("8m", 8 << 20),
            ("16MiB", 16 << 20),
            ("1G", 1 << 30),
            ("3KB", 3 << 10),
        ] {
            assert_eq!(text.parse::<Size>().map(|s| s.0), Ok(bytes), "{text}");
        }
        for wrong in ["", "M", "-1", "1.5M", "99999999999G"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong:?} should be refused");
        }
        assert_eq!(Size::mib(16).to_string(), "16M");
    }

    #[test]
    fn a_time_is_read_with_a_zone_or_as_utc() {
        for text in ["2040-01-31T12:00:00Z", "2040-01-31 12:00:00", "2040-01-31T13:00:00+01:00"] {
            assert_eq!(timestamp(text).map(jiff::Timestamp::as_second), Some(2_211_624_000), "{text}");
        }
        for wrong in ["", "soon", "2040-02-31T12:00:00Z", "2040-01-31T12:00:00[Asia/Tokyo]", "12:00"] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_single_address_is_a_network_of_one() {
        let one: Network = "192.168.1.20".parse().expect("an address");
        assert!(one.contains("192.168.1.20".parse().expect("ip")));
        assert!(one.contains("::ffff:192.168.1.20".parse().expect("ip")), "mapped addresses count");
        assert!(!one.contains("192.168.1.21".parse().expect("ip")));
        assert_eq!(one.to_string(), "192.168.1.20");
        assert!("192.168.0.0/33".parse::<Network>().is_err());
    }
}
