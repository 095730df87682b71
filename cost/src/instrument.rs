//! Counts instructions exactly: adds to the code of each function, at the start of every run of
//! instructions without a branch, what increments two counters by the length of the run.
//!
//! Fuel of the interpreter would be no measure: a function or a loop pays for all of its branches
//! when it is entered, also for those that are not taken.
//!
//! A copy or fill of memory is one instruction, however long it is.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    Instruction, Module, ValType,
};
use wasmparser::{
    ExportSectionReader, FunctionBody, FunctionSectionReader, GlobalSectionReader, KnownCustom, Name,
    Operator, Parser, Payload,
};

/// The export that counts the instructions of all functions.
pub(crate) const ALL: &str = "instructions";

/// The export that counts those of one function, by its place in the code.
pub(crate) fn of(function: usize) -> String {
    format!("{ALL}-{function}")
}

/// A module that counts.
pub(crate) struct Instrumented {
    pub(crate) code: Vec<u8>,
    /// Names of the functions with code, if the module has them; their numbers otherwise.
    pub(crate) functions: Vec<String>,
}

/// Adds the counters to a module that imports no globals.
pub(crate) fn instrument(code: &[u8]) -> Instrumented {
    let mut counters = Counters::default();
    let mut module = Module::new();
    counters.parse_core_module(&mut module, Parser::new(0), code).expect("a module of LLVM");
    Instrumented { code: module.finish(), functions: names(code, counters.functions) }
}

#[derive(Default)]
struct Counters {
    /// Functions with code.
    functions: u32,
    /// The global that counts all; those of the functions follow.
    all: u32,
    /// The function that is next.
    next: u32,
}

type Result = std::result::Result<(), Error<Infallible>>;

impl Reencode for Counters {
    type Error = Infallible;

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result {
        self.functions = section.count();
        utils::parse_function_section(self, functions, section)
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result {
        self.all = section.count();
        utils::parse_global_section(self, globals, section)?;
        let counter = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        for _ in 0..=self.functions {
            globals.global(counter, &ConstExpr::i64_const(0));
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result {
        utils::parse_export_section(self, exports, section)?;
        exports.export(ALL, ExportKind::Global, self.all);
        for function in 0..self.functions {
            exports.export(&of(function as usize), ExportKind::Global, self.all + 1 + function);
        }
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result {
        self.next += 1;
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let (mut run, mut length) = (Vec::new(), 0);
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            length += i64::from(costs(&operator));
            let ends = ends_run(&operator);
            run.push(self.instruction(operator)?);
            if ends {
                self.count(&mut function, length);
                for instruction in run.drain(..) {
                    function.instruction(&instruction);
                }
                length = 0;
            }
        }
        code.function(&function);
        Ok(())
    }
}

impl Counters {
    fn count(&self, function: &mut Function, length: i64) {
        if length == 0 {
            return;
        }
        for counter in [self.all, self.all + self.next] {
            function
                .instruction(&Instruction::GlobalGet(counter))
                .instruction(&Instruction::I64Const(length))
                .instruction(&Instruction::I64Add)
                .instruction(&Instruction::GlobalSet(counter));
        }
    }
}

/// Whether an instruction does something; the others only give code its structure.
fn costs(operator: &Operator<'_>) -> bool {
    use Operator::{Block, Drop, Else, End, Loop, Nop};
    !matches!(operator, Block { .. } | Loop { .. } | Else | End | Nop | Drop)
}

/// Whether what follows may run without this, or not at all.
fn ends_run(operator: &Operator<'_>) -> bool {
    use Operator::{Br, BrIf, BrTable, Else, End, If, Loop, Return, Unreachable};
    matches!(
        operator,
        Loop { .. }
            | If { .. }
            | Else
            | End
            | Br { .. }
            | BrIf { .. }
            | BrTable { .. }
            | Return
            | Unreachable
    )
}

fn names(code: &[u8], functions: u32) -> Vec<String> {
    let mut imports = 0;
    let mut names: Vec<String> = (0..functions).map(|function| format!("function {function}")).collect();
    for payload in Parser::new(0).parse_all(code) {
        match payload.expect("a module of LLVM") {
            Payload::ImportSection(section) => imports = section.count(),
            Payload::CustomSection(section) => {
                let KnownCustom::Name(sections) = section.as_known() else { continue };
                for name in sections.into_iter().flatten() {
                    let Name::Function(map) = name else { continue };
                    for naming in map.into_iter().flatten() {
                        let place = naming.index.checked_sub(imports).map(|place| place as usize);
                        if let Some(name) = place.and_then(|place| names.get_mut(place)) {
                            *name = format!("{:#}", rustc_demangle::demangle(naming.name));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    names
}
