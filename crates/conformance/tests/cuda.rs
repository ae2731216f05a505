//! The CUDA backend on the emulated device against every contract, in float32 and bfloat16, in three orders of threads.

use tunesmith_conformance::{
    Record, Stage, adafactor, adamw, attention, blockwise_step, cross_entropy, dora, dropout, elementwise,
    elementwise_step, embedding, grad_norm, grouped_matmul, lora_matmul, matmul, muon, neftune, nf4, rms_norm, rope,
    router, sgd, swiglu,
};
use tunesmith_cuda::{Cuda, EmulatedOptions, Schedule};
use tunesmith_ops::{DType, Result};

const SEED: u64 = 7;

/// Elements before a view that is aligned to nothing.
const MARGIN: usize = 3;

const SCHEDULES: [Schedule; 3] = [Schedule::Forward, Schedule::Reverse, Schedule::Shuffled(11)];

fn device(schedule: Schedule, dtype: DType) -> Cuda {
    Cuda::emulated(&EmulatedOptions { schedule, ..EmulatedOptions::default() }, dtype).expect("an emulated device")
}

/// Of the long lists of cases one in so many is enough where each access is watched, or where a run only asks whether anything
/// fails.
const SPARSE: usize = 7;

/// Whether the run only asks if anything fails: it ends at the first failure.
fn is_brief() -> bool {
    std::env::var_os("TUNESMITH_FIRST_FAILURE").is_some()
}

/// Both dtypes, or the one that the run asks for.
fn dtypes() -> Vec<DType> {
    let only = std::env::var("TUNESMITH_ONLY_DTYPE").ok();
    let wanted = |dtype: &DType| only.as_ref().is_none_or(|only| *only == dtype.to_string());
    [DType::F32, DType::Bf16].into_iter().filter(wanted).collect()
}

fn record() -> Record {
    if is_brief() { Record::strict() } else { Record::default() }
}

/// One case in so many of the long lists: where a dtype goes through them whole, and everywhere else.
/// `TUNESMITH_EVERY_CASE=1` leaves none out.
fn steps() -> (usize, usize) {
    match (is_brief(), std::env::var_os("TUNESMITH_EVERY_CASE").is_some()) {
        (true, _) => (SPARSE, SPARSE),
        (false, true) => (1, 1),
        (false, false) => (1, SPARSE),
    }
}

/// Runs a suite in every dtype, with views that are aligned to 16 bytes and views that are not, and under every schedule: all
/// within the contract, and all schedules with the same bits. Where every access is watched, one schedule shows them all.
fn check(suite: impl Fn(&Stage<'_, Cuda>, u64, &mut Record) -> Result<()>) {
    let dtypes = dtypes();
    assert!(!dtypes.is_empty(), "TUNESMITH_ONLY_DTYPE: neither float32 nor bfloat16");
    for dtype in dtypes {
        if device(Schedule::Forward, dtype).watches_memory() {
            check_watched(dtype, &suite);
            continue;
        }
        check_strange(dtype, &suite);
        let pass = |schedule, margin, step| {
            let (cuda, mut record) = (device(schedule, dtype), record());
            suite(&Stage::with_margin(&cuda, margin).sparse(step), SEED, &mut record).expect("every op to run");
            let place = format!("{dtype}, margin {margin}, {schedule:?}");
            assert_eq!(record.failures(), Vec::<String>::new(), "{place}");
            assert!(!record.cases.is_empty(), "{place}");
            record
        };
        let (listed, sparse) = steps();
        // Every case with single elements in one dtype and with vectors in the other: the same template, each of its ways once.
        // What differs where views are not aligned is how a thread loads, which no schedule changes.
        let (single, vector) = if dtype == DType::F32 { (listed, sparse) } else { (sparse, listed) };
        pass(Schedule::Forward, MARGIN, single);
        if vector != sparse {
            pass(Schedule::Forward, 16, vector);
        }
        let records = SCHEDULES.map(|schedule| pass(schedule, 16, sparse));
        for (record, schedule) in records.iter().zip(SCHEDULES) {
            assert_eq!(records[0].differences(record), Vec::<String>::new(), "{dtype}, {schedule:?}");
        }
    }
}

/// Runs a suite on numbers among which NaN and infinities are.
fn check_strange(dtype: DType, suite: impl Fn(&Stage<'_, Cuda>, u64, &mut Record) -> Result<()>) {
    let (cuda, mut record) = (device(Schedule::Forward, dtype), record());
    suite(&Stage::with_margin(&cuda, 16).sparse(SPARSE).strange(), SEED, &mut record).expect("every op to run");
    assert_eq!(record.failures(), Vec::<String>::new(), "{dtype}, NaN and infinities");
}

/// How much of a suite a watched run takes, by `TUNESMITH_WATCH`: `brief` is one alignment for each dtype, `all` every case of
/// the long lists at both, and anything else one case in [`SPARSE`] at both.
fn watched(dtype: DType) -> (&'static [usize], usize) {
    match (std::env::var("TUNESMITH_WATCH").as_deref(), dtype) {
        // Single elements in one dtype, vectors in the other: the same template, and each of its ways once.
        (Ok("brief"), DType::F32) => (&[MARGIN], SPARSE),
        (Ok("brief"), _) => (&[0], SPARSE),
        (Ok("all"), _) => (&[MARGIN, 0], 1),
        _ => (&[MARGIN, 0], SPARSE),
    }
}

/// Runs a suite in views that end with their buffers, aligned to 16 bytes and not: the first element beyond is found.
fn check_watched(dtype: DType, suite: impl Fn(&Stage<'_, Cuda>, u64, &mut Record) -> Result<()>) {
    let (margins, step) = watched(dtype);
    for &margin in margins {
        let (cuda, mut record) = (device(Schedule::Forward, dtype), record());
        suite(&Stage::to_the_end(&cuda, margin).sparse(step), SEED, &mut record).expect("every op to run");
        assert_eq!(record.failures(), Vec::<String>::new(), "{dtype}, margin {margin}, watched");
    }
}

#[test]
fn elementwise_meets_its_contract() {
    check(elementwise::suite);
}

#[test]
fn rms_norm_meets_its_contract() {
    check(rms_norm::suite);
}

#[test]
fn rope_meets_its_contract() {
    check(rope::suite);
}

#[test]
fn swiglu_meets_its_contract() {
    check(swiglu::suite);
}

#[test]
fn grad_norm_meets_its_contract() {
    check(grad_norm::suite);
}

#[test]
fn adamw_meets_its_contract() {
    check(adamw::suite);
}

#[test]
fn matmul_meets_its_contract() {
    check(matmul::suite);
}

#[test]
fn lora_matmul_meets_its_contract() {
    check(lora_matmul::suite);
}

#[test]
fn cross_entropy_meets_its_contract() {
    check(cross_entropy::suite);
}

#[test]
fn attention_meets_its_contract() {
    check(attention::suite);
}

#[test]
fn dora_meets_its_contract() {
    check(dora::suite);
}

#[test]
fn dropout_meets_its_contract() {
    check(dropout::suite);
}

#[test]
fn embedding_meets_its_contract() {
    check(embedding::suite);
}

#[test]
fn sgd_meets_its_contract() {
    check(sgd::suite);
}

#[test]
fn elementwise_step_meets_its_contract() {
    check(elementwise_step::suite);
}

#[test]
fn blockwise_step_meets_its_contract() {
    check(blockwise_step::suite);
}

#[test]
fn neftune_meets_its_contract() {
    check(neftune::suite);
}

#[test]
fn adafactor_meets_its_contract() {
    check(adafactor::suite);
}

#[test]
fn muon_meets_its_contract() {
    check(muon::suite);
}

#[test]
fn nf4_meets_its_contract() {
    check(nf4::suite);
}

#[test]
fn router_meets_its_contract() {
    check(router::suite);
}

#[test]
fn grouped_matmul_meets_its_contract() {
    check(grouped_matmul::suite);
}

/// Where a vendor's library takes the large product, bias and adapter are added by a kernel of ours.
#[test]
fn products_of_a_vendor_meet_the_contract() {
    let options = EmulatedOptions { vendor: true, ..EmulatedOptions::default() };
    let cuda = Cuda::emulated(&options, DType::Bf16).expect("an emulated device");
    let (stage, mut record) = (Stage::with_margin(&cuda, 16), Record::default());
    matmul::suite(&stage, SEED, &mut record).expect("every op to run");
    let products = cuda.vendor_products();
    lora_matmul::suite(&stage, SEED, &mut record).expect("every op to run");
    assert_eq!(record.failures(), Vec::<String>::new());
    assert!(products > 8 && cuda.vendor_products() > products + 8, "{products}, {}", cuda.vendor_products());
}
