//! Every public name that `golden/api.json` lists in three spellings is there in Rust; Python and Node check theirs.
#![cfg(all(feature = "io", feature = "master", feature = "plot"))]

use std::collections::BTreeSet;

use sonicforge_core::progress::NoProgress;
use sonicforge_core::{analyze, audio, error, io, master, progress, testing};

/// Compiles when the names exist, and says which they were.
macro_rules! names {
    ($($first:ident $(:: $rest:ident)*),* $(,)?) => {{
        $( { #[allow(unused_imports)] use sonicforge_core::$first $(:: $rest)* as _; } )*
        [$( concat!(stringify!($first) $(, "::", stringify!($rest))*) ),*]
    }};
}

macro_rules! methods {
    ($($name:literal => $method:expr),* $(,)?) => {{
        $( let _ = $method; )*
        [$( $name ),*]
    }};
}

#[test]
fn every_listed_name_is_there() {
    let names = names![
        VERSION,
        error::Error,
        error,
        progress::CancelToken,
        audio::AudioBuffer,
        io::read,
        io::read_bytes,
        io::write,
        io::write_bytes,
        io::info,
        io::FileInfo,
        io::tags,
        io::Tags,
        io::Picture,
        io::Reader,
        io::Writer,
        analyze::analyze,
        analyze::Analysis,
        analyze::BandLevel,
        analyze::Timeline,
        analyze::Live,
        analyze::Analyzer,
        master::Processor,
        master::Gain,
        master::Equalizer,
        master::DeEsser,
        master::Multiband,
        master::Exciter,
        master::Widener,
        master::Glue,
        master::Limiter,
        master::EqualizerBand,
        master::BandParams,
        master::MasteringChain,
        master::Preset,
        master::Target,
        master::plan,
        master::plan_for,
        master::plan_match,
        master::MatchParts,
        plot::analysis_svg,
        plot::report_svg,
        plot::report_html,
        master::Plan,
        master::master,
        master::master_file,
        master::Report,
        master::GainReduction,
        master::BandReduction,
        master::ReductionTimeline,
        master::gain_matched,
        testing::Signal,
    ];
    let methods = methods![
        "error::Error::code" => error::Error::code,
        "progress::CancelToken::cancel" => progress::CancelToken::cancel,
        "audio::AudioBuffer::from_channels" => audio::AudioBuffer::from_channels::<Vec<f32>>,
        "audio::AudioBuffer::from_planar" => audio::AudioBuffer::from_planar,
        "audio::AudioBuffer::from_interleaved" => audio::AudioBuffer::from_interleaved,
        "audio::AudioBuffer::sample_rate" => audio::AudioBuffer::sample_rate,
        "audio::AudioBuffer::channels" => audio::AudioBuffer::channels,
        "audio::AudioBuffer::frames" => audio::AudioBuffer::frames,
        "audio::AudioBuffer::seconds" => audio::AudioBuffer::seconds,
        "audio::AudioBuffer::channel" => audio::AudioBuffer::channel,
        "audio::AudioBuffer::samples" => audio::AudioBuffer::samples,
        "audio::AudioBuffer::resample" => audio::AudioBuffer::resample,
        "audio::AudioBuffer::trim" => audio::AudioBuffer::trim,
        "audio::AudioBuffer::fade_in" => audio::AudioBuffer::fade_in,
        "audio::AudioBuffer::fade_out" => audio::AudioBuffer::fade_out,
        "audio::AudioBuffer::mix" => audio::AudioBuffer::mix,
        "audio::AudioBuffer::to_mono" => audio::AudioBuffer::to_mono,
        "audio::AudioBuffer::to_stereo" => audio::AudioBuffer::to_stereo,
        "audio::AudioBuffer::normalize_peak" => audio::AudioBuffer::normalize_peak,
        "audio::AudioBuffer::apply_gain_db" => audio::AudioBuffer::apply_gain_db,
        "audio::AudioBuffer::to_interleaved" => audio::AudioBuffer::to_interleaved,
        "audio::AudioBuffer::clone" => <audio::AudioBuffer as Clone>::clone,
        "io::Tags::get" => io::Tags::get,
        "io::Reader::read" => io::Reader::read,
        "io::Reader::rewind" => io::Reader::rewind,
        "io::Writer::write" => io::Writer::write,
        "io::Writer::finish" => io::Writer::finish,
        "analyze::Analysis::to_json" => analyze::Analysis::to_json,
        "analyze::Analysis::from_json" => analyze::Analysis::from_json,
        "analyze::Analyzer::push" => analyze::Analyzer::push,
        "analyze::Analyzer::current" => analyze::Analyzer::current,
        "analyze::Analyzer::finish" => analyze::Analyzer::finish,
        "master::Gain::params" => master::Gain::params,
        "master::Gain::set_params" => master::Gain::set_params,
        "master::Equalizer::params" => master::Equalizer::params,
        "master::Equalizer::set_params" => master::Equalizer::set_params,
        "master::DeEsser::params" => master::DeEsser::params,
        "master::DeEsser::set_params" => master::DeEsser::set_params,
        "master::Multiband::params" => master::Multiband::params,
        "master::Multiband::set_params" => master::Multiband::set_params,
        "master::Exciter::params" => master::Exciter::params,
        "master::Exciter::set_params" => master::Exciter::set_params,
        "master::Widener::params" => master::Widener::params,
        "master::Widener::set_params" => master::Widener::set_params,
        "master::Glue::params" => master::Glue::params,
        "master::Glue::set_params" => master::Glue::set_params,
        "master::Limiter::params" => master::Limiter::params,
        "master::Limiter::set_params" => master::Limiter::set_params,
        "master::Processor::prepare" => <master::MasteringChain as master::Processor>::prepare,
        "master::Processor::process" => <master::MasteringChain as master::Processor>::process,
        "master::Processor::reset" => <master::MasteringChain as master::Processor>::reset,
        "master::Processor::latency" => <master::MasteringChain as master::Processor>::latency,
        "master::MasteringChain::render" => master::MasteringChain::render,
        "master::MasteringChain::preset" => master::MasteringChain::preset,
        "master::MasteringChain::non_finite_samples" => master::MasteringChain::non_finite_samples,
        "master::MasteringChain::set_module" => master::MasteringChain::set_module,
        "master::Preset::named" => master::Preset::named,
        "master::Preset::names" => master::Preset::names,
        "master::Preset::from_json" => master::Preset::from_json,
        "master::Preset::to_json" => master::Preset::to_json,
        "master::Preset::from_toml" => master::Preset::from_toml,
        "master::Preset::to_toml" => master::Preset::to_toml,
        "master::Preset::load" => |path: &str| master::Preset::load(path),
        "master::Preset::save" => |preset: &master::Preset, path: &str| preset.save(path),
        "master::Target::named" => master::Target::named,
        "master::Target::all" => master::Target::all,
        "master::Target::custom" => master::Target::custom,
        "master::Plan::from_json" => master::Plan::from_json,
        "master::Plan::to_json" => master::Plan::to_json,
        "master::Plan::render" => master::Plan::render,
        "master::Plan::render_file" => |plan: &master::Plan, path: &str, how: &io::WriteOptions| plan.render_file(path, path, how, &mut NoProgress),
        "master::Report::from_json" => master::Report::from_json,
        "master::Report::to_json" => master::Report::to_json,
        "master::Report::summary" => master::Report::summary,
        "testing::Signal::render" => testing::Signal::render,
    ];
    let compiled: BTreeSet<&str> = names.into_iter().chain(methods).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/api.json");
    let api: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let listed: BTreeSet<&str> = api.as_array().unwrap().iter().filter_map(|entry| entry["rust"].as_str()).collect();
    let odd: Vec<_> = compiled.symmetric_difference(&listed).collect();
    assert!(odd.is_empty(), "in api.json or in this test, but not in both: {odd:?}");
}
