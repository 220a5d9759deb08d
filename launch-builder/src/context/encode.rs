//! From pieces of tar to pieces of an archive, and what goes around them.

use std::io;

use zstd::bulk::Compressor;

use super::crc::{combine, crc32};
use super::deflate::{self, Deflater, is_noise};
use super::options::{Compression, Format};

/// Compresses pieces; each thread has one.
pub(super) enum Encoder {
    Plain,
    Gzip(Box<Deflater>),
    Zstd {
        encoder: Compressor<'static>,
        /// For what cannot be made smaller.
        hurried: Compressor<'static>,
    },
}

/// A piece, encoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Of the bytes before.
    pub(super) crc: u32,
    /// How many they were.
    pub(super) raw: u64,
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        let level = compression.level;
        match compression.format {
            Format::Tar => Ok(Self::Plain),
            Format::TarGz => Ok(Self::Gzip(Box::new(Deflater::new(level)))),
            Format::TarZst => {
                let level = i32::try_from(level).unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                let compressor = |level| {
                    let mut compressor = Compressor::new(level)?;
                    compressor.include_checksum(true)?;
                    io::Result::Ok(compressor)
                };
                Ok(Self::Zstd {
                    encoder: compressor(level)?,
                    hurried: compressor(-7)?,
                })
            }
        }
    }

    /// Encodes a piece: the same bytes for the same piece, whatever came before.
    pub(super) fn encode(&mut self, piece: Vec<u8>) -> io::Result<Encoded> {
        let raw = piece.len() as u64;
        match self {
            Self::Plain => Ok(Encoded {
                bytes: piece,
                crc: 0,
                raw,
            }),
            Self::Gzip(deflater) => {
                let mut bytes = Vec::with_capacity(piece.len() / 2 + 64);
                deflater.deflate(&piece, &mut bytes);
                let crc = crc32(&piece);
                Ok(Encoded { bytes, crc, raw })
            }
            Self::Zstd { encoder, hurried } => {
                let encoder = if is_noise(&piece) { hurried } else { encoder };
                let mut bytes = Vec::with_capacity(zstd::zstd_safe::compress_bound(piece.len()));
                encoder.compress_to_buffer(&piece, &mut bytes)?;
                bytes.shrink_to_fit();
                Ok(Encoded { bytes, crc: 0, raw })
            }
        }
    }
}

/// What makes the bytes of an encoder other than those of another: its name in keys.
pub(super) fn name(compression: Compression) -> String {
    let level = compression.level;
    match compression.format {
        Format::Tar => "tar".to_owned(),
        Format::TarGz => format!("gzip {} {level}", deflate::VERSION),
        Format::TarZst => format!("zstd {} {level}", zstd::zstd_safe::version_number()),
    }
}

/// The frame around the pieces.
#[derive(Debug)]
pub(super) struct Frame {
    format: Format,
    crc: u32,
    raw: u64,
}

impl Frame {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            crc: 0,
            raw: 0,
        }
    }

    /// What comes before the first piece.
    pub(super) fn begin(&self) -> &'static [u8] {
        match self.format {
            // RFC 1952: deflate, no flags, no time; 255 is "unknown": where it was made is not
            // to be seen in it.
            Format::TarGz => &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255],
            Format::Tar | Format::TarZst => &[],
        }
    }

    /// Counts a piece.
    pub(super) fn add(&mut self, piece: &Encoded) {
        if self.format == Format::TarGz {
            self.crc = combine(self.crc, piece.crc, piece.raw);
        }
        self.raw = self.raw.wrapping_add(piece.raw);
    }

    /// What comes after the last piece.
    pub(super) fn end(&self) -> Vec<u8> {
        if self.format != Format::TarGz {
            return Vec::new();
        }
        [
            &deflate::END[..],
            &self.crc.to_le_bytes(),
            // The size modulo 2^32, as RFC 1952 has it.
            &self.raw.to_le_bytes()[..4],
        ]
        .concat()
    }
}
