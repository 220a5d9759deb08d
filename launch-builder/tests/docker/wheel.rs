//! A package that needs no index.

use std::io::Write as _;

/// A wheel is a zip archive; this one is stored, and holds one module.
pub(crate) fn wheel() -> Vec<u8> {
    let files: [(&str, &str); 4] = [
        ("launch_probe.py", "WORD = 'installed'\n"),
        (
            "launch_probe-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: launch_probe\nVersion: 1.0\n",
        ),
        (
            "launch_probe-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (
            "launch_probe-1.0.dist-info/RECORD",
            "launch_probe.py,,\nlaunch_probe-1.0.dist-info/METADATA,,\n\
             launch_probe-1.0.dist-info/WHEEL,,\nlaunch_probe-1.0.dist-info/RECORD,,\n",
        ),
    ];
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, 1980-01-01.
        common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        common.extend(crc.sum().to_le_bytes());
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        common.extend(length.iter().chain(&length));
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        let offset = u32::try_from(zip.len()).unwrap().to_le_bytes();
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.as_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        write!(zip, "{name}{text}").unwrap();
    }
    let (start, size) = (zip.len(), directory.len());
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0\x04\0\x04\0");
    zip.extend(u32::try_from(size).unwrap().to_le_bytes());
    zip.extend(u32::try_from(start).unwrap().to_le_bytes());
    zip.extend([0, 0]);
    zip
}
