//! How long a layer of one 40 MB program takes, from the file to the blob in the store; next to the compression alone,
//! one pass without archive or digest, which is the least that any tool has to do.

#![expect(clippy::expect_used, reason = "a benchmark that can't be set up fails")]

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput};
use xtask::config::Compression;
use xtask::error::{Context, Result};
use xtask::oci::layer::{self, Layer, Tree};
use xtask::oci::store::Store;

const SIZE: usize = 40_000_000;

/// Bytes that compress about as a stripped program does: words from a small vocabulary, the frequent ones most often,
/// with operands between them that are hard to guess.
fn program() -> Vec<u8> {
    let mut state = 1_u64;
    // Knuth's MMIX constants; the upper half of the state is well mixed.
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    let words: Vec<[u8; 8]> = (0..1024).map(|_| (next() << 32 | next()).to_le_bytes()).collect();
    let mut bytes = Vec::with_capacity(SIZE + 16);
    while bytes.len() < SIZE {
        let frequent = next() % 1024 * (next() % 1024) / 1024;
        bytes.extend(words.get(usize::try_from(frequent).unwrap_or(0)).into_iter().flatten());
        bytes.extend_from_slice(next().to_le_bytes().get(..1).unwrap_or_default());
    }
    bytes.truncate(SIZE);
    bytes
}

fn layer(program: &Path, compression: Compression, to: &Path) -> Result<Layer> {
    let mut tree = Tree::default();
    tree.disk(&"/usr/local/bin/program".parse()?, 0o755, program)?;
    layer::make(&tree, 0, compression, &Store::new(to.join("store")), &to.join("cache"))
}

/// The peer: flate2 or zstd as a program would use it without thinking about images.
fn alone(program: &Path, compression: Compression, to: &Path) -> io::Result<u64> {
    let (mut from, to) = (File::open(program)?, File::create(to.join("blob"))?);
    match compression {
        Compression::Gzip(level) => {
            let mut gzip = flate2::write::GzEncoder::new(to, flate2::Compression::new(level));
            io::copy(&mut from, &mut gzip)?;
            gzip.finish()?.metadata().map(|m| m.len())
        }
        Compression::Zstd(level) => {
            let mut zstd = zstd::Encoder::new(to, level)?;
            io::copy(&mut from, &mut zstd)?;
            zstd.finish()?.metadata().map(|m| m.len())
        }
    }
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().attempt(|| "make a folder".into())?;
    let file = folder.path().join("program");
    xtask::fs::write(&file, &program())?;
    let empty = || tempfile::tempdir_in(folder.path()).expect("a folder");
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("layer of 40 MB");
    group.throughput(Throughput::Bytes(SIZE as u64));
    for (name, peer, compression) in
        [("gzip", "flate2 alone", Compression::default()), ("zstd", "zstd alone", "zstd".parse()?)]
    {
        // A failure would look fast below.
        layer(&file, compression, empty().path())?;
        alone(&file, compression, empty().path()).attempt(|| format!("compress with {peer}"))?;
        group.bench_function(name, |b| {
            b.iter_batched(
                empty,
                |to| (layer(black_box(&file), compression, to.path()).is_ok(), to),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(peer, |b| {
            b.iter_batched(
                empty,
                |to| (alone(black_box(&file), compression, to.path()).is_ok(), to),
                BatchSize::PerIteration,
            );
        });
    }
    let kept = empty();
    layer(&file, Compression::default(), kept.path())?;
    group.bench_function("gzip, made before", |b| b.iter(|| layer(&file, Compression::default(), kept.path()).is_ok()));
    group.finish();
    criterion.final_summary();
    Ok(())
}
