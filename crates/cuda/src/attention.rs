//! `attention`: launches of `kernels/attention.cu`, `attention_backward.cu` and `attention_exact.cu`.

use tunesmith_ops::{Attention, AttentionShape, Call as Arguments, DType, Error, Result, Sequences, View, ViewMut};

use crate::attention_plan::{AttentionPlan, BLOCKS, CHUNK, List};
use crate::device::{Address, Buffer, Structure};
use crate::{Cuda, packs};

/// The largest head size that the kernels hold.
const LARGEST_HEAD: usize = 256;

/// Rows of one block of threads of the row kernels, forward and backward.
const ROWS: usize = 16;
const ROWS_BACKWARD: usize = 8;

/// Rows of the other side that pass by a row at a time.
const OTHERS: usize = 32;

/// The tensor-core kernels for one range of head sizes; the numbers stand in the entry points of the `.cu` files.
struct Tile {
    forward: &'static str,
    keys: &'static str,
    queries: &'static str,
    /// Elements of a row in shared memory.
    width: usize,
    warps: usize,
    /// Rows of the other side in a stage of shared memory, forward and backward.
    other: usize,
    other_backward: usize,
    /// Stages of the backward kernels.
    stages: usize,
    /// Blocks of threads that share the columns of dk and dv.
    halves: usize,
}

const TILES: [(usize, Tile); 5] = [
    (
        32,
        Tile {
            forward: "attention_forward_32_bf16",
            keys: "attention_backward_keys_32_bf16",
            queries: "attention_backward_queries_32_bf16",
            width: 32,
            warps: 8,
            other: 64,
            other_backward: 64,
            stages: 2,
            halves: 1,
        },
    ),
    (
        64,
        Tile {
            forward: "attention_forward_64_bf16",
            keys: "attention_backward_keys_64_bf16",
            queries: "attention_backward_queries_64_bf16",
            width: 64,
            warps: 8,
            other: 64,
            other_backward: 64,
            stages: 2,
            halves: 1,
        },
    ),
    (
        96,
        Tile {
            forward: "attention_forward_96_bf16",
            keys: "attention_backward_keys_96_bf16",
            queries: "attention_backward_queries_96_bf16",
            width: 128,
            warps: 8,
            other: 64,
            other_backward: 32,
            stages: 2,
            halves: 1,
        },
    ),
    (
        128,
        Tile {
            forward: "attention_forward_128_bf16",
            keys: "attention_backward_keys_128_bf16",
            queries: "attention_backward_queries_128_bf16",
            width: 128,
            warps: 8,
            other: 64,
            other_backward: 32,
            stages: 2,
            halves: 1,
        },
    ),
    (
        LARGEST_HEAD,
        Tile {
            forward: "attention_forward_256_bf16",
            keys: "attention_backward_keys_256_bf16",
            queries: "attention_backward_queries_256_bf16",
            width: 256,
            warps: 4,
            other: 32,
            other_backward: 32,
            stages: 1,
            halves: 2,
        },
    ),
];

impl Tile {
    fn of(head_dim: usize) -> Option<&'static Self> {
        TILES.iter().find(|(size, _)| head_dim <= *size).map(|(_, tile)| tile)
    }

    fn rows(&self) -> usize {
        16 * self.warps
    }

    fn threads(&self) -> u32 {
        32 * self.warps as u32
    }

    /// The plan's list for this size of block.
    fn list(&self, lists: [List; 2]) -> List {
        lists[usize::from(self.rows() != BLOCKS[0])]
    }

    fn shared_forward(&self) -> usize {
        2 * self.width * (self.rows() + 4 * self.other)
    }

    fn shared_queries(&self) -> usize {
        2 * self.width * (2 * self.rows() + 2 * self.stages * self.other_backward)
    }

    fn shared_keys(&self) -> usize {
        self.shared_queries() + 4 * 2 * self.stages * self.other_backward
    }
}

/// Views of a call, checked.
struct Call<'a> {
    shape: &'a AttentionShape,
    plan: &'a AttentionPlan,
    q: View<'a, Buffer>,
    k: View<'a, Buffer>,
    v: View<'a, Buffer>,
    /// Of a backward call: out, dout, lse and delta.
    backward: [Address; 4],
    aligned: bool,
}

impl Call<'_> {
    /// `struct AttentionArguments` of `common/attention.cuh`, for one list of work.
    fn arguments(&self, work: List) -> Structure {
        let Self { shape, plan, .. } = self;
        let place = |view: View<'_, Buffer>| view.buffer.address_of(view.start);
        let [out, dout, lse, delta] = self.backward;
        let s = Structure::default().pointer(place(self.q)).pointer(place(self.k)).pointer(place(self.v));
        let s =
            s.pointer(out).pointer(dout).pointer(lse).pointer(delta).pointer(plan.spans()).pointer(plan.place(work));
        let s = s.int(shape.heads).int(shape.kv_heads).int(shape.head_dim).float(shape.scale);
        let window = shape.window.map_or(i32::MAX as usize, |window| window.min(i32::MAX as usize));
        s.float(shape.soft_cap.unwrap_or(0.0)).int(window).int(usize::from(self.aligned))
    }
}

impl Cuda {
    /// Refuses heads larger than the kernels hold.
    fn check_head(call: Arguments, head_dim: usize) -> Result<()> {
        if head_dim <= LARGEST_HEAD {
            return Ok(());
        }
        Err(Error::argument(call.op, format!("a head size of at most {LARGEST_HEAD}"), head_dim))
    }

    /// Rows one by one: float32, or sequences with few queries whose keys are split.
    fn attention_rows(
        &self,
        call: &Call<'_>,
        work: List,
        out: &ViewMut<'_, Buffer>,
        lse: Address,
        parts: Option<&Buffer>,
        [chunk, queries]: [usize; 2],
    ) -> Result<()> {
        let AttentionShape { heads, kv_heads, head_dim: h, .. } = *call.shape;
        let result = Structure::default().pointer(out.buffer.address_of(out.start)).pointer(lse);
        let result =
            result.pointer(parts.map_or(0, |parts| parts.address_of(0))).int(call.plan.most_queries).int(chunk);
        let blocks = (queries * (heads / kv_heads)).div_ceil(ROWS);
        let launch = self.launch_activations("attention_rows_f32", "attention_rows_bf16");
        let launch = launch.grid([work.count, kv_heads, blocks], 128);
        let launch = launch.shared(4 * (2 * OTHERS * (h + 1) + ROWS * h + 4 * OTHERS));
        launch.structure(&call.arguments(work).finish()?).structure(&result.finish()?).run()
    }

    /// Sequences with few queries: the chunks of their keys, and these joined.
    fn attention_split(&self, call: &Call<'_>, out: &ViewMut<'_, Buffer>, lse: Address) -> Result<()> {
        let (plan, AttentionShape { heads, head_dim: h, .. }) = (call.plan, *call.shape);
        if plan.items.count == 0 {
            return Ok(());
        }
        let parts = self.undefined(DType::F32, plan.items.count * heads * plan.most_queries * (h + 2))?;
        self.attention_rows(call, plan.items, out, lse, Some(&parts), [CHUNK, plan.most_queries])?;
        let launch = self.launch_activations("attention_join_f32", "attention_join_bf16");
        let launch = launch.grid([plan.split.count, heads, plan.most_queries], 32);
        let launch = launch.address(plan.place(plan.split)).address(plan.spans()).read(parts.view());
        launch.write(out).address(lse).int(heads).int(h).int(plan.most_queries).run()
    }

    fn attention_delta(&self, out: View<'_, Buffer>, dout: View<'_, Buffer>, h: usize) -> Result<Buffer> {
        let rows = out.len / h;
        let mut delta = self.undefined(DType::F32, rows)?;
        let launch =
            self.launch_activations("attention_delta_f32", "attention_delta_bf16").blocks(rows.div_ceil(8), 256);
        launch.read(out).read(dout).write(&delta.view_mut()).long(rows).int(h).run()?;
        Ok(delta)
    }
}

impl Attention for Cuda {
    type Plan = AttentionPlan;

    fn plan_attention(&self, sequences: Sequences<'_>) -> Result<AttentionPlan> {
        AttentionPlan::new(self, sequences)
    }

    fn attention_forward(
        &self,
        shape: &AttentionShape,
        plan: &AttentionPlan,
        q: View<'_, Buffer>,
        k: View<'_, Buffer>,
        v: View<'_, Buffer>,
        out: ViewMut<'_, Buffer>,
        lse: Option<ViewMut<'_, Buffer>>,
    ) -> Result<()> {
        let (arguments, AttentionShape { heads, head_dim: h, .. }) = (self.call("attention_forward"), *shape);
        let given = lse.as_ref().map(ViewMut::as_view);
        shape.check_forward(arguments, &plan.sequences, [q, k, v], out.as_view(), given)?;
        Self::check_head(arguments, h)?;
        let lse = lse.map_or(0, |lse| lse.buffer.address_of(lse.start));
        let aligned = packs::wide(h * self.dtype.size(), &[q, k, v, out.as_view()]);
        let call = Call { shape, plan, q, k, v, backward: [0; 4], aligned };
        self.attention_split(&call, &out, lse)?;
        if self.dtype == DType::F32 {
            return self.attention_rows(&call, plan.queries[0], &out, lse, None, [BLOCKS[0]; 2]);
        }
        let Some(tile) = Tile::of(h) else { return Ok(()) };
        let work = tile.list(plan.queries);
        let launch =
            self.launch(tile.forward).grid([work.count, heads, 1], tile.threads()).shared(tile.shared_forward());
        launch.structure(&call.arguments(work).finish()?).write(&out).address(lse).run()
    }

    fn attention_backward(
        &self,
        shape: &AttentionShape,
        plan: &AttentionPlan,
        q: View<'_, Buffer>,
        k: View<'_, Buffer>,
        v: View<'_, Buffer>,
        out: View<'_, Buffer>,
        lse: View<'_, Buffer>,
        dout: View<'_, Buffer>,
        dq: ViewMut<'_, Buffer>,
        dk: ViewMut<'_, Buffer>,
        dv: ViewMut<'_, Buffer>,
    ) -> Result<()> {
        let (arguments, AttentionShape { heads, kv_heads, head_dim: h, .. }) =
            (self.call("attention_backward"), *shape);
        let written @ [dqv, dkv, dvv] = [&dq, &dk, &dv].map(|view| view.as_view());
        shape.check_backward(arguments, &plan.sequences, [q, k, v], [out, lse, dout], written)?;
        Self::check_head(arguments, h)?;
        let delta = self.attention_delta(out, dout, h)?;
        let aligned = packs::wide(h * self.dtype.size(), &[q, k, v, dout, dqv, dkv, dvv]);
        let place = |view: View<'_, Buffer>| view.buffer.address_of(view.start);
        let backward = [place(out), place(dout), place(lse), place(delta.view())];
        let call = Call { shape, plan, q, k, v, backward, aligned };
        if self.dtype == DType::F32 {
            let blocks = BLOCKS[0] / ROWS_BACKWARD;
            let shared = |more: usize| 4 * (2 * OTHERS * (h + 1) + ROWS_BACKWARD * (2 * h + more * OTHERS));
            let (keys, queries) = (plan.keys[0], plan.queries[0]);
            let launch = self.launch("attention_backward_keys_f32").grid([keys.count, kv_heads, blocks], 256);
            let launch = launch.shared(shared(2)).structure(&call.arguments(keys).finish()?);
            launch.write(&dk).write(&dv).run()?;
            let launch = self.launch("attention_backward_queries_f32").grid([queries.count, heads, blocks], 256);
            return launch.shared(shared(1)).structure(&call.arguments(queries).finish()?).write(&dq).run();
        }
        let Some(tile) = Tile::of(h) else { return Ok(()) };
        let (keys, queries) = (tile.list(plan.keys), tile.list(plan.queries));
        let launch = self.launch(tile.keys).grid([keys.count, kv_heads, tile.halves], tile.threads());
        let launch = launch.shared(tile.shared_keys()).structure(&call.arguments(keys).finish()?);
        launch.write(&dk).write(&dv).run()?;
        let launch = self.launch(tile.queries).grid([queries.count, heads, 1], tile.threads());
        launch.shared(tile.shared_queries()).structure(&call.arguments(queries).finish()?).write(&dq).run()
    }
}
