//! What a container sees of the machine's disks.

use bollard::models::{
    Mount, MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use serde_json::Value;

use super::super::value;
use super::{ContainerOptions, add, filled, flag, many, pairs};

pub(super) const NAMES: &[&str] = &[
    "mount",
    "read-only",
    "storage-opt",
    "tmpfs",
    "volume",
    "volume-driver",
    "volumes-from",
];

pub(super) fn set(
    options: &mut ContainerOptions,
    name: &str,
    given: &Value,
) -> Result<bool, String> {
    let host = &mut options.host;
    match name {
        "volume" => {
            for text in many(given)? {
                bind(options, text)?;
            }
        }
        "mount" => {
            let mounts = many(given)?;
            let mounts: Result<Vec<_>, _> = mounts.iter().map(|text| mount(text)).collect();
            add(&mut host.mounts, mounts?);
        }
        "tmpfs" => {
            for text in many(given)? {
                let (target, rest) = text.split_once(':').unwrap_or((&text, ""));
                let map = host.tmpfs.get_or_insert_default();
                map.insert(target.to_owned(), rest.to_owned());
            }
        }
        "read-only" => host.readonly_rootfs = Some(flag(given)?),
        "volume-driver" => host.volume_driver = filled(given)?,
        "volumes-from" => add(&mut host.volumes_from, many(given)?),
        "storage-opt" => host
            .storage_opt
            .get_or_insert_default()
            .extend(pairs(given)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `SOURCE:TARGET[:OPTIONS]`, or a target alone for a volume that goes with the container.
fn bind(options: &mut ContainerOptions, text: String) -> Result<(), String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [target] if target.starts_with('/') => add(&mut options.body.volumes, [text]),
        [source, target] | [source, target, _] if !source.is_empty() && target.starts_with('/') => {
            add(&mut options.host.binds, [text]);
        }
        _ => {
            return Err(format!(
                "`{text}` is not written [SOURCE:]/TARGET[:OPTIONS]"
            ));
        }
    }
    Ok(())
}

/// `type=bind,source=…,target=…,readonly` and the like.
fn mount(text: &str) -> Result<Mount, String> {
    // Without a type, it is a volume.
    let mut mount = Mount {
        typ: Some(MountType::VOLUME),
        ..Mount::default()
    };
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, "true"));
        set_key(&mut mount, key.trim(), value.trim())?;
    }
    let needs_source = mount.typ == Some(MountType::BIND);
    match (&mount.source, &mount.target) {
        (_, None) => Err(format!("`{text}` has no `target`")),
        (None, _) if needs_source => Err(format!("`{text}` has no `source`")),
        _ => Ok(mount),
    }
}

fn set_key(mount: &mut Mount, key: &str, value: &str) -> Result<(), String> {
    let switch = || {
        value
            .parse::<bool>()
            .map_err(|_| format!("`{key}` is true or false"))
    };
    match key {
        "type" => {
            let known = ["bind", "volume", "tmpfs"].contains(&value);
            let kind = value.parse().ok().filter(|_| known);
            mount.typ = Some(kind.ok_or_else(|| format!("`{value}` is no type of mount"))?);
        }
        "source" | "src" => mount.source = Some(value.to_owned()),
        "target" | "destination" | "dst" => mount.target = Some(value.to_owned()),
        "readonly" | "ro" => mount.read_only = Some(switch()?),
        "consistency" => mount.consistency = Some(value.to_owned()),
        "bind-propagation" => {
            let mode = value.parse();
            let mode = mode.map_err(|_| format!("`{value}` is no propagation"))?;
            bind_options(mount).propagation = Some(mode);
        }
        "bind-recursive" if value == "disabled" => bind_options(mount).non_recursive = Some(true),
        "bind-recursive" if value == "enabled" => {}
        "volume-nocopy" => volume_options(mount).no_copy = Some(switch()?),
        "volume-subpath" => volume_options(mount).subpath = Some(value.to_owned()),
        "volume-driver" => driver(mount).name = Some(value.to_owned()),
        "volume-opt" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            let options = driver(mount).options.get_or_insert_default();
            options.insert(name.to_owned(), value.to_owned());
        }
        "tmpfs-size" => tmpfs_options(mount).size_bytes = Some(value::bytes(value)?),
        "tmpfs-mode" => {
            let mode = i64::from_str_radix(value, 8);
            tmpfs_options(mount).mode = Some(mode.map_err(|_| format!("`{value}` is no mode"))?);
        }
        other => return Err(format!("`{other}` is not a key of `mount`")),
    }
    Ok(())
}

fn bind_options(mount: &mut Mount) -> &mut MountBindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume_options(mount: &mut Mount) -> &mut MountVolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn driver(mount: &mut Mount) -> &mut MountVolumeOptionsDriverConfig {
    volume_options(mount).driver_config.get_or_insert_default()
}

fn tmpfs_options(mount: &mut Mount) -> &mut MountTmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}
