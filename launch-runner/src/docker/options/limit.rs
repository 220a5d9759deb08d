//! What a container may use of the machine.

use serde_json::Value;

use super::super::value;
use super::{ContainerOptions, add, filled, flag, many, one};

pub(super) const NAMES: &[&str] = &[
    "blkio-weight",
    "cgroup-parent",
    "cgroupns",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "memory",
    "memory-reservation",
    "memory-swap",
    "oom-kill-disable",
    "oom-score-adj",
    "pids-limit",
    "shm-size",
    "ulimit",
];

pub(super) fn set(
    options: &mut ContainerOptions,
    name: &str,
    given: &Value,
) -> Result<bool, String> {
    let host = &mut options.host;
    let integer = || value::integer(&one(given)?);
    let bytes = || value::bytes(&one(given)?);
    match name {
        "cpus" => host.nano_cpus = Some(value::nano_cpus(&one(given)?)?),
        "cpu-shares" => host.cpu_shares = Some(integer()?),
        "cpu-period" => host.cpu_period = Some(integer()?),
        "cpu-quota" => host.cpu_quota = Some(integer()?),
        "cpuset-cpus" => host.cpuset_cpus = filled(given)?,
        "cpuset-mems" => host.cpuset_mems = filled(given)?,
        "memory" => host.memory = Some(bytes()?),
        "memory-reservation" => host.memory_reservation = Some(bytes()?),
        "memory-swap" if one(given)? == "-1" => host.memory_swap = Some(-1),
        "memory-swap" => host.memory_swap = Some(bytes()?),
        "shm-size" => host.shm_size = Some(bytes()?),
        "pids-limit" => host.pids_limit = Some(integer()?),
        "blkio-weight" => {
            let weight = u16::try_from(integer()?);
            host.blkio_weight = Some(weight.map_err(|_| "a weight is 10 to 1000".to_owned())?);
        }
        "oom-kill-disable" => host.oom_kill_disable = Some(flag(given)?),
        "oom-score-adj" => host.oom_score_adj = Some(integer()?),
        "cgroup-parent" => host.cgroup_parent = filled(given)?,
        "cgroupns" => {
            let mode = one(given)?.parse().ok().filter(|mode| {
                use bollard::models::HostConfigCgroupnsModeEnum as Mode;
                matches!(mode, Mode::HOST | Mode::PRIVATE)
            });
            host.cgroupns_mode = Some(mode.ok_or("it is `host` or `private`")?);
        }
        "ulimit" => {
            let limits = many(given)?;
            let limits: Result<Vec<_>, _> = limits.iter().map(|text| value::ulimit(text)).collect();
            add(&mut host.ulimits, limits?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}
