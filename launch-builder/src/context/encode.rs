//! From pieces of tar to pieces of an archive: a gzip member or a Zstandard frame each.

use std::io;

use libdeflater::CompressionLvl;
use zstd::zstd_safe;

use super::noise::is_noise;
use super::options::{Compression, Format};
use super::recipe::sha256;

/// libdeflate's levels for those of gzip: those that make as much of a source tree.
const GZIP: [i32; 10] = [0, 1, 2, 3, 3, 4, 5, 6, 8, 9];

/// Compresses pieces; each thread has one.
pub(super) struct Encoder {
    /// For what can be made smaller, and for what cannot; none for plain tar.
    kernels: Option<(Kernel, Kernel)>,
    /// Where pieces are encoded; longer than they are.
    room: Vec<u8>,
}

/// A piece that was encoded.
pub(super) struct Encoded {
    pub(super) piece: Vec<u8>,
    /// Whether nothing was searched for in it.
    pub(super) is_cheap: bool,
}

enum Kernel {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        let level = compression.level;
        let kernels = match compression.format {
            Format::Tar => None,
            Format::TarGz => Some((Kernel::gzip(level), Kernel::gzip(0))),
            Format::TarZst => {
                let level = i32::try_from(level).unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                Some((Kernel::zstd(level)?, Kernel::zstd(-7)?))
            }
        };
        let room = Vec::new();
        Ok(Self { kernels, room })
    }

    /// Encodes a piece into `to`: the same bytes for the same piece, whatever came before. The
    /// buffer the piece was in is the caller's to fill again.
    pub(super) fn encode(&mut self, piece: &mut Vec<u8>, to: Vec<u8>) -> io::Result<Encoded> {
        let is_cheap = self.kernels.is_none() || is_noise(piece);
        let piece = match &mut self.kernels {
            None => std::mem::replace(piece, to),
            Some((_, hurried)) if is_cheap => hurried.encode(piece, &mut self.room, to)?,
            Some((kernel, _)) => kernel.encode(piece, &mut self.room, to)?,
        };
        Ok(Encoded { piece, is_cheap })
    }
}

impl Kernel {
    fn gzip(level: u32) -> Self {
        let level = GZIP.get(level as usize).unwrap_or(&GZIP[6]);
        let level = CompressionLvl::new(*level).expect("it has these levels");
        Self::Gzip(libdeflater::Compressor::new(level))
    }

    fn zstd(level: i32) -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.include_checksum(true)?;
        Ok(Self::Zstd(compressor))
    }

    fn encode(&mut self, piece: &[u8], room: &mut Vec<u8>, mut to: Vec<u8>) -> io::Result<Vec<u8>> {
        let most = match self {
            Self::Gzip(kernel) => kernel.gzip_compress_bound(piece.len()),
            Self::Zstd(_) => zstd_safe::compress_bound(piece.len()),
        };
        if room.len() < most {
            room.resize(most, 0);
        }
        let length = match self {
            Self::Gzip(kernel) => kernel
                .gzip_compress(piece, room)
                .map_err(io::Error::other)?,
            Self::Zstd(kernel) => kernel.compress_to_buffer(piece, &mut room[..])?,
        };
        to.clear();
        to.extend_from_slice(&room[..length]);
        Ok(to)
    }
}

/// What makes the bytes of an encoder other than those of another: its name in keys.
pub(super) fn name(compression: Compression) -> io::Result<String> {
    let level = compression.level;
    Ok(match compression.format {
        Format::Tar => "tar".to_owned(),
        // This library does not say its version; what it makes of a text does.
        Format::TarGz => {
            let made = Encoder::new(compression)?.encode(&mut sample(), Vec::new())?;
            format!("gzip {} {level}", sha256(&made.piece).to_hex())
        }
        Format::TarZst => format!("zstd {} {level}", zstd_safe::version_number()),
    })
}

/// Long enough for several blocks of DEFLATE.
fn sample() -> Vec<u8> {
    let line = |n: u32| format!("{n} {:x}\n", n.wrapping_mul(n) % 7919);
    (0..6_000).map(line).collect::<String>().into_bytes()
}
