//! What the epoch of a market takes without the runtime: the least that any Wasm does that reads every row
//! of the state, reads it again and puts it back; and the same arithmetic, native, on rows in memory.

use super::support::{chain, processor_time, Wasm, MARKET, TEMPO};
use market_mechanism::{epoch, Clock, Graph, Market, Row};
use market_primitives::Uid;
use noesis_runtime::Runtime;
use pallet_market::{types::Moment, Columns, Markets, Rows, Slots};
use sp_io::TestExternalities;
use std::time::Duration;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, InstructionSink, MemArg,
    MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// Bytes of the key of a row.
const KEY: usize = 36;

/// Rows read or put back in a block.
const BLOCK: usize = 256;

/// How long a Wasm takes that reads every row of a market, then reads it again and puts it back: block by
/// block.
pub fn host(probe: &Wasm, neurons: u32, row: u32) -> Vec<Duration> {
    let mut chain = chain(neurons, row, 1, false);
    let keys: Vec<u8> = (0..neurons as Uid)
        .flat_map(|uid| Rows::<Runtime>::hashed_key_for(MARKET, uid))
        .collect();
    assert_eq!(keys.len(), KEY * neurons as usize);
    let mut blocks = Vec::new();
    for name in ["read", "put_back"] {
        for keys in keys.chunks(KEY * BLOCK) {
            blocks.push(probe.call(&mut chain, name, keys).1);
            chain.commit_all().expect("nothing is open");
        }
    }
    blocks
}

/// How long the mechanism takes for the epoch of the same market, native.
pub fn native(neurons: u32, row: u32) -> Vec<Duration> {
    let mut chain: TestExternalities = chain(neurons, row, 1, false);
    let (parameters, slots, mut graph) = chain.execute_with(|| {
        let rules = Markets::<Runtime>::get(MARKET).expect("it is there");
        let slots = Slots::<Runtime>::get(MARKET).into_iter();
        let slots: Vec<_> = slots.map(|slot| slot.map(Into::into)).collect();
        let rows = (0..neurons as Uid).map(|uid| {
            let row = Rows::<Runtime>::get(MARKET, uid).unwrap_or_default();
            Row {
                set_at: row.set_at.time(),
                edges: row.edges(),
            }
        });
        let columns = Columns::<Runtime>::get(MARKET).into_iter();
        let graph = Graph {
            rows: rows.collect(),
            columns: columns.map(Into::into).collect(),
        };
        (rules.parameters.mechanism(), slots, graph)
    });
    let start = processor_time();
    let clock = Clock {
        epoch: 1,
        now: Moment::start_of(TEMPO).time() - 1,
    };
    let market = Market::new(parameters, &slots, clock);
    std::hint::black_box(epoch(&market, &mut graph, 1_000_000_000));
    vec![processor_time().saturating_sub(start)]
}

/// A Wasm of two functions, of keys of [`KEY`] bytes: `read` reads what lies under each of them, `put_back`
/// puts it back as well.
pub fn probe() -> Vec<u8> {
    let [get, set, free] = [0, 1, 2];
    let mut types = TypeSection::new();
    types.ty().function([ValType::I64], [ValType::I64]);
    types.ty().function([ValType::I64; 2], []);
    types.ty().function([ValType::I32], []);
    types.ty().function([ValType::I32; 2], [ValType::I64]);
    let mut imports = ImportSection::new();
    imports.import("env", "ext_storage_get_version_1", EntityType::Function(0));
    imports.import("env", "ext_storage_set_version_1", EntityType::Function(1));
    imports.import(
        "env",
        "ext_allocator_free_version_1",
        EntityType::Function(2),
    );
    let mut functions = FunctionSection::new();
    functions.function(3).function(3);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 2,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut globals = GlobalSection::new();
    let constant = GlobalType {
        val_type: ValType::I32,
        mutable: false,
        shared: false,
    };
    globals.global(constant, &ConstExpr::i32_const(1 << 16));
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports.export("__heap_base", ExportKind::Global, 0);
    exports.export("read", ExportKind::Func, 3);
    exports.export("put_back", ExportKind::Func, 4);
    let mut codes = CodeSection::new();
    for put_back in [false, true] {
        codes.function(&each_key(|code| {
            // What `get` answers is one byte, the length, coded in 1, 2 or 4 bytes, and the value.
            key(code).call(get).local_set(VALUE);
            if put_back {
                code.local_get(VALUE).i32_wrap_i64().local_tee(START);
                code.i32_const(1).i32_const(1).local_get(START);
                code.i32_load8_u(byte_after())
                    .i32_const(3)
                    .i32_and()
                    .i32_shl();
                code.i32_add().local_tee(HEAD).i32_add().i64_extend_i32_u();
                code.local_get(VALUE).i64_const(32).i64_shr_u();
                code.local_get(HEAD).i64_extend_i32_u().i64_sub();
                code.i64_const(32).i64_shl().i64_or().local_set(PLACE);
                key(code).local_get(PLACE).call(set);
            }
            code.local_get(VALUE).i32_wrap_i64().call(free);
        }));
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module
        .section(&memories)
        .section(&globals)
        .section(&exports);
    module.section(&codes).as_slice().into()
}

/// Locals of the functions: where keys begin and how many bytes they are, then their own.
const NEXT: u32 = 0;
const LENGTH: u32 = 1;
const START: u32 = 2;
const HEAD: u32 = 3;
const VALUE: u32 = 4;
const PLACE: u32 = 5;

/// A function that does something for each key.
fn each_key(body: impl Fn(&mut InstructionSink)) -> Function {
    let mut function = Function::new([(2, ValType::I32), (2, ValType::I64)]);
    let mut code = function.instructions();
    code.local_get(NEXT)
        .local_get(LENGTH)
        .i32_add()
        .local_set(LENGTH);
    code.loop_(BlockType::Empty);
    body(&mut code);
    code.local_get(NEXT)
        .i32_const(KEY as i32)
        .i32_add()
        .local_tee(NEXT);
    code.local_get(LENGTH).i32_lt_u().br_if(0);
    code.end().i64_const(0).end();
    function
}

/// The next key, as functions of the host take it.
fn key<'a, 'b>(code: &'a mut InstructionSink<'b>) -> &'a mut InstructionSink<'b> {
    code.local_get(NEXT).i64_extend_i32_u();
    code.i64_const((KEY as i64) << 32).i64_or()
}

/// One byte on.
fn byte_after() -> MemArg {
    MemArg {
        offset: 1,
        align: 0,
        memory_index: 0,
    }
}
