//! Values as `docker run` reads them: sizes, CPUs, ulimits, GPUs.

use std::collections::HashMap;

use bollard::models::{DeviceRequest, ResourcesUlimits};

/// The resources a ulimit can be set for.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A whole number.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a whole number"))
}

/// A size in bytes: a number with `b`, `k`, `m`, `g`, `t` or `p` (powers of 1024).
pub(super) fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a size such as 512m or 1.5g");
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let power = match unit.strip_suffix('i').unwrap_or(unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    scale(number, 1 << (10 * power)).ok_or_else(wrong)
}

/// CPUs in billionths: a decimal number (`1.5`, `1e-3`) or a fraction (`1/2`).
pub(super) fn nano_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a number of CPUs");
    let (over, under) = rational(text).ok_or_else(wrong)?;
    let over = over.checked_mul(1_000_000_000).ok_or_else(wrong)?;
    if over % under != 0 {
        return Err(format!("`{text}` is finer than a billionth of a CPU"));
    }
    i64::try_from(over / under).map_err(|_| wrong())
}

/// A number that is not negative, as numerator and denominator.
fn rational(text: &str) -> Option<(i128, i128)> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((over, under)) = text.split_once('/') {
        let (over, under) = (Some(over), Some(under));
        let number = |text: Option<&str>| text.filter(|text| digits(text))?.parse::<i128>().ok();
        return Some((number(over)?, number(under).filter(|under| *under > 0)?));
    }
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let joined = format!("{whole}{fraction}");
    if !digits(&joined) || joined.len() > 20 || fraction.len() > 20 {
        return None;
    }
    let exponent = exponent
        .parse::<i32>()
        .ok()?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let value: i128 = joined.parse().ok()?;
    if exponent < 0 {
        Some((value, power))
    } else {
        Some((value.checked_mul(power)?, 1))
    }
}

/// A decimal number times `unit`, cut to a whole number; exact, unlike a float.
fn scale(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // More than 18 digits are finer than any unit here.
    let fraction = &fraction[..fraction.len().min(18)];
    let numerator: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let denominator = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let rest = i64::try_from(i128::from(unit) * numerator / denominator).ok()?;
    whole.checked_mul(unit)?.checked_add(rest)
}

/// `name=soft[:hard]`; -1 is no limit.
pub(super) fn ulimit(text: &str) -> Result<ResourcesUlimits, String> {
    let wrong = || format!("`{text}` is not a limit such as nofile=1024:2048");
    let (name, limits) = text.trim().split_once('=').ok_or_else(wrong)?;
    if !ULIMITS.contains(&name) {
        return Err(format!(
            "`{name}` is not a ulimit; there are {}",
            ULIMITS.join(", ")
        ));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard): (i64, i64) = (
        soft.parse().map_err(|_| wrong())?,
        hard.parse().map_err(|_| wrong())?,
    );
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("in `{text}` the soft limit is above the hard one"));
    }
    Ok(ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(soft),
        hard: Some(hard),
    })
}

/// `all`, a count, `device=0,1`, or `key=value` of `count`, `driver`, `capabilities`.
///
/// On a command line, a list of devices needs quotes within quotes
/// (`'"device=0,1"'`). Here both spellings are taken: what a bare number after `device=`
/// means is not in doubt.
pub(super) fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest {
        options: Some(HashMap::new()),
        ..DeviceRequest::default()
    };
    let mut capabilities = vec!["gpu".to_owned()];
    let mut key = "";
    for item in text.split(',').map(|item| item.trim().trim_matches('"')) {
        let value = match item.split_once('=') {
            Some((name, value)) => {
                key = name;
                value
            }
            None => item,
        };
        match key {
            "" | "count" => request.count = Some(gpu_count(value)?),
            "device" => request
                .device_ids
                .get_or_insert_default()
                .push(value.to_owned()),
            "driver" => request.driver = Some(value.to_owned()),
            "capabilities" => capabilities.push(value.to_owned()),
            other => return Err(format!("`{other}` is not a key of `gpus`")),
        }
    }
    match (&request.count, &request.device_ids) {
        (Some(_), Some(_)) => Err(format!("`{text}` asks for a count and for devices"))?,
        (None, None) => request.count = Some(1),
        _ => {}
    }
    request.capabilities = Some(vec![capabilities]);
    Ok(request)
}

fn gpu_count(text: &str) -> Result<i64, String> {
    match text {
        "all" => Ok(-1),
        number => number
            .parse()
            .ok()
            .filter(|count| *count >= -1)
            .ok_or_else(|| format!("`{text}` is not `all`, a count, or `device=…`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let sizes = [
            ("1024", 1024),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KiB", 32 << 10),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("2 TB", 2 << 40),
            (".5k", 512),
        ];
        for (text, wanted) in sizes {
            assert_eq!(bytes(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "1x",
            "1mm",
            "1 2",
            "99999999999p",
            "1mbb",
            "0x10",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpus_are_exact() {
        assert_eq!(nano_cpus("0.1"), Ok(100_000_000));
        assert_eq!(nano_cpus("2"), Ok(2_000_000_000));
        assert_eq!(nano_cpus("1e-07"), Ok(100));
        assert_eq!(nano_cpus("1.5e1"), Ok(15_000_000_000));
        assert_eq!(nano_cpus("1/2"), Ok(500_000_000));
        for text in [
            "0.0000000001",
            "two",
            "",
            "-1",
            "1/0",
            "1/3",
            "1e400",
            ".",
            "1e",
        ] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ulimits_have_a_soft_and_a_hard_limit() {
        assert_eq!(ulimit("nofile=5").unwrap().hard, Some(5));
        assert_eq!(ulimit("memlock=-1:-1").unwrap().soft, Some(-1));
        for text in ["nofile", "files=5", "nofile=a", "nofile=9:8", "nofile=-1:8"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_are_all_or_some_or_named() {
        assert_eq!(gpus("all").unwrap().count, Some(-1));
        assert_eq!(gpus("2").unwrap().count, Some(2));
        assert_eq!(
            gpus("2").unwrap().capabilities,
            Some(vec![vec!["gpu".to_owned()]])
        );
        for text in ["device=0,1", "\"device=0,1\""] {
            let ids = gpus(text).unwrap().device_ids.unwrap();
            assert_eq!(ids, ["0", "1"], "{text}");
        }
        assert_eq!(
            gpus("driver=nvidia,capabilities=compute").unwrap().count,
            Some(1)
        );
        for text in ["some", "-2", "device=0,count=1", "colour=red"] {
            assert!(gpus(text).is_err(), "{text}");
        }
    }
}
