// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations.
#include "kernels/neoni8mm/ops.h"
#include "kernels/neoni8mm/panel.h"

namespace air::neoni8mm {
namespace {

template <Kind kWeightKind>
struct Int8 {
  static constexpr int kBytes = 512;
  static constexpr bool kIsUnpacked = true;
  static constexpr Kind kKind = kWeightKind;

  // values: [4][2][8] bytes
  static void unpack(const uint8_t* values, int8x16_t (&weights)[kChunks]) {
    AIR_UNROLL
    for (int c = 0; c < kChunks; ++c) weights[c] = neon::load_bytes(values + 16 * c);
  }

  static float32x4_t to_float(int32x4_t dots) { return vcvtq_f32_s32(dots); }
};

}  // namespace

void matmul_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_panels(args, kInPanel<Int8<Kind::kScale16>>, 0);
  } else if (args->weights->has_min) {
    run_panels(args, kInPanel<Int8<Kind::kScale32Min>>, 0);
  } else {
    run_panels(args, kInPanel<Int8<Kind::kScale32>>, 0);
  }
}

}  // namespace air::neoni8mm
