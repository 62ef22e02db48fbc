// How attention is launched on devices of all sizes, and the layout of KV pages.
#include <algorithm>
#include <cstring>

#include "kernels/cuda/attention_shared.h"
#include "kernels/cuda/launch/attention.h"
#include "kernels/cuda/launch/kv_pages.h"
#include "test/native/kernel_cases.h"

namespace air_test {
namespace {

using air::cuda::AttentionDevice;
using air::cuda::AttentionProblem;
using air::cuda::AttentionShape;

const AttentionDevice kOrinNano = {8, 163 << 10, 164 << 10};
const AttentionDevice kOrin = {16, 163 << 10, 164 << 10};
const AttentionDevice kGeforce = {82, 99 << 10, 100 << 10};  // sm_86, sm_89
const AttentionDevice kH100 = {132, 227 << 10, 228 << 10};

AttentionProblem llama_8b() {
  AttentionProblem problem;
  problem.kv_heads = 8;
  problem.heads_per_kv = 4;
  problem.query_heads = 32;
  problem.padded_dim = 128;
  problem.key_type = problem.value_type = AIR_KV_INT8;
  problem.cached_tokens = 8192;
  return problem;
}

TEST(one_row_of_a_long_text_fills_the_device) {
  for (const AttentionDevice& device : {kOrinNano, kOrin, kGeforce, kH100}) {
    const AttentionShape shape = choose_attention(llama_8b(), device);
    CHECK_EQ(std::string(shape.kernel), "attention_1_1");
    CHECK_EQ(shape.launch.grid_z, 1u);
    CHECK_EQ(shape.launch.grid_y, 8u);
    CHECK_EQ(static_cast<int32_t>(shape.launch.grid_x), shape.split_lanes);
    CHECK(shape.split_lanes * 8 >= device.multiprocessors);
    CHECK(shape.split_lanes * 8 <= 4 * device.multiprocessors);
    CHECK(shape.merge.grid_x == 1 && shape.merge.grid_y == 32);
    CHECK(shape.stages >= 2);
  }
}

TEST(verification_of_eight_rows_is_one_pass) {
  AttentionProblem problem = llama_8b();
  problem.rows = problem.rows_per_sequence = 8;
  const AttentionShape shape = choose_attention(problem, kOrin);
  CHECK_EQ(std::string(shape.kernel), "attention_2_1");
  CHECK_EQ(shape.tile_rows, 8);
  CHECK_EQ(shape.launch.grid_z, 1u);
}

TEST(prefill_computes_whole_tiles) {
  AttentionProblem problem = llama_8b();
  problem.rows = problem.rows_per_sequence = 512;
  const AttentionShape shape = choose_attention(problem, kH100);
  CHECK_EQ(std::string(shape.kernel), "attention_4_1");
  CHECK_EQ(shape.tile_rows, 16);
  CHECK_EQ(shape.launch.grid_z, 32u);
}

TEST(short_texts_are_not_split) {
  AttentionProblem problem = llama_8b();
  problem.cached_tokens = 256;
  CHECK_EQ(choose_attention(problem, kH100).split_lanes, 0);
}

TEST(more_heads_than_a_tile_has_queries) {
  AttentionProblem problem = llama_8b();
  problem.kv_heads = 1;
  problem.heads_per_kv = problem.query_heads = 71;
  problem.padded_dim = 64;
  const AttentionShape shape = choose_attention(problem, kOrin);
  CHECK_EQ(shape.tile_rows, 1);
  CHECK_EQ(shape.head_parts, 2);
  CHECK_EQ(shape.launch.grid_y, 2u);
}

// Every problem has a kernel that fits every device, and its grid has room for the worst mix of sequences.
TEST(all_problems_fit_all_devices) {
  for (const AttentionDevice& device : {kOrinNano, kOrin, kGeforce, kH100}) {
    for (const int32_t type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
      for (int32_t dim = 32; dim <= 256; dim += 32) {
        for (const int32_t rows : {1, 2, 8, 16, 512}) {
          for (const int32_t heads : {1, 4, 7, 32}) {
            for (const int32_t sequences : {1, 3, 16}) {
              AttentionProblem problem;
              problem.rows = rows;
              problem.sequences = std::min(sequences, rows);
              problem.rows_per_sequence = rows - problem.sequences + 1;
              problem.kv_heads = 4;
              problem.heads_per_kv = heads;
              problem.query_heads = 4 * heads;
              problem.padded_dim = dim;
              problem.key_type = problem.value_type = type;
              problem.cached_tokens = 4096;
              problem.has_sinks = true;
              const AttentionShape shape = choose_attention(problem, device);
              const std::string what = "dim " + std::to_string(dim) + " type " + std::to_string(type) +
                                       " rows " + std::to_string(rows) + " heads " + std::to_string(heads);
              CHECK_MSG(shape.kernel != nullptr, what);
              CHECK_MSG(shape.launch.shared_bytes <= static_cast<uint32_t>(device.shared_per_block), what);
              CHECK_MSG(shape.partial_bytes <= device.partial_bytes, what);
              CHECK_MSG(shape.tile_rows * std::min(heads, 16 * shape.m) <= 16 * shape.m, what);
              CHECK_MSG(shape.head_parts * 16 * shape.m >= heads, what);
              // One sequence with most of the rows, the others with one each.
              std::vector<int32_t> sequence_of(static_cast<size_t>(rows), 0);
              for (int32_t s = 1; s < problem.sequences; ++s) sequence_of[static_cast<size_t>(rows - s)] = s;
              std::vector<air::cuda::AttentionTile> tiles(sequence_of.size());
              const int32_t count =
                  make_attention_tiles(sequence_of.data(), rows, shape.tile_rows, tiles.data());
              CHECK_MSG(static_cast<uint32_t>(count) <= shape.launch.grid_z, what);
            }
          }
        }
      }
    }
  }
}

TEST(tiles_are_of_one_sequence) {
  const int32_t sequence_of[] = {0, 0, 0, 0, 0, 1, 2, 2};
  air::cuda::AttentionTile tiles[8];
  CHECK_EQ(air::cuda::make_attention_tiles(sequence_of, 8, 4, tiles), 4);
  const int32_t expected[4][2] = {{0, 4}, {4, 1}, {5, 1}, {6, 2}};
  for (int i = 0; i < 4; ++i) {
    CHECK_EQ(tiles[i].first_row, expected[i][0]);
    CHECK_EQ(tiles[i].rows, expected[i][1]);
  }
}

// To the device's layout and back, and no two elements share a place.
TEST(pages_of_both_layouts) {
  Random random(5);
  for (const AirKvType keys : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
    for (const AirKvType values : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
      const AirKvLayout layout = kv_layout(96, 48, keys, values);
      const auto bytes = static_cast<size_t>(layout.member_bytes);
      std::vector<uint8_t> host(bytes), device(bytes, 0xee), back(bytes, 0xdd);
      for (uint8_t& byte : host) byte = static_cast<uint8_t>(random.bits());
      air::cuda::member_to_device(layout, host.data(), device.data());
      air::cuda::member_from_device(layout, device.data(), back.data());
      const std::string what = std::string("K ") + kv_type_name(keys) + " V " + kv_type_name(values);
      CHECK_MSG(host == back, what);
      CHECK_MSG(host != device, what);
      CHECK_MSG(std::memcmp(host.data() + layout.key_scales_offset, device.data() + layout.key_scales_offset,
                            bytes - static_cast<size_t>(layout.key_scales_offset)) == 0,
                what);
    }
  }
}

// The lane and register that kv_layout.h draws, for a few elements worked out by hand.
TEST(places_of_elements) {
  using air::cuda::key_place;
  using air::cuda::value_place;
  // Token 6 is tile 1, column 2; dim 45 is the second cell, dim 13 of it: lane 4 * 2 + 1, element 5.
  CHECK_EQ(key_place(AIR_KV_INT8, 64, 6, 45).byte, 512 + 9 * 16 + 8 + 5);
  CHECK_EQ(key_place(AIR_KV_F16, 64, 6, 45).byte, 1024 + (32 + 9) * 16 + 10);
  CHECK_EQ(key_place(AIR_KV_INT4, 64, 6, 45).byte, 256 + 9 * 8 + 4 + 3);
  CHECK_EQ(key_place(AIR_KV_INT4, 64, 6, 45).shift, 0);  // nibble 2 + 4
  // Token 18 is token 2 of the second stripe.
  CHECK_EQ(key_place(AIR_KV_INT8, 64, 18, 0).byte, 1024 + 8);
  CHECK_EQ(value_place(AIR_KV_INT8, 64, 6, 45).byte, 512 + (4 * 3 + 1) * 16 + 4 + 2);
  CHECK_EQ(value_place(AIR_KV_F16, 64, 6, 45).byte, 1024 + (4 * 3 + 1) * 16 + (4 + 2) * 2);
  CHECK_EQ(value_place(AIR_KV_INT4, 64, 6, 45).byte, 256 + (4 * 3 + 1) * 8 + 1);
  CHECK_EQ(value_place(AIR_KV_INT4, 64, 6, 45).shift, 4);
}

}  // namespace
}  // namespace air_test
