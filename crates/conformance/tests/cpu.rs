//! The CPU backend against every contract: threads 1, 2 and 4, and every instruction set of this machine.

use tunesmith_conformance::suites::{run, run_on};
use tunesmith_conformance::{Record, Stage};
use tunesmith_cpu::Cpu;
use tunesmith_cpu::simd::Isa;

const SEED: u64 = 7;

fn record(threads: usize, isa: Isa) -> Record {
    let cpu = Cpu::with_isa(threads, isa).expect("a backend");
    run(&cpu, SEED).expect("every op to run")
}

#[test]
fn every_instruction_set_meets_every_contract_with_the_same_bits_on_any_number_of_threads() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let one = record(1, isa);
        assert_eq!(one.failures(), Vec::<String>::new(), "{}", isa.name());
        println!("{}: {} cases", isa.name(), one.cases.len());
        for threads in [2, 4] {
            let differences = one.differences(&record(threads, isa));
            assert_eq!(differences, Vec::<String>::new(), "{} with {threads} threads", isa.name());
        }
    }
}

#[test]
fn what_is_not_finite_stays_where_the_formula_takes_it() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let cpu = Cpu::with_isa(2, isa).expect("a backend");
        let record = run_on(Stage::new(&cpu).strange(), SEED).expect("every op to run");
        assert_eq!(record.failures(), Vec::<String>::new(), "{}", isa.name());
    }
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused() {
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.available()) {
        assert!(Cpu::with_isa(1, isa).is_err());
    }
}

/// Runs itself again with the variable set, which a process must not change while it has threads.
#[test]
fn the_environment_names_the_instruction_set() {
    const VARIABLE: &str = "TUNESMITH_CPU_ISA";
    if let Ok(name) = std::env::var(VARIABLE) {
        match Cpu::new(1) {
            Ok(cpu) => assert_eq!(cpu.isa().name(), name),
            Err(error) => assert!(error.message.contains(&name), "{error}"),
        }
        assert_eq!(name == "abacus", Cpu::new(1).is_err());
        return;
    }
    let program = std::env::current_exe().expect("a test program");
    for name in Isa::ALL.into_iter().filter(|isa| isa.available()).map(Isa::name).chain(["abacus"]) {
        let mut again = std::process::Command::new(&program);
        again.args(["--exact", "the_environment_names_the_instruction_set"]).env(VARIABLE, name);
        let output = again.output().expect("a second run");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
