// One layer's attention of one step, with everything it reads in the device's memory, and what it should be in float64.
#ifndef AIR_TEST_KERNELS_SUPPORT_ATTENTION_STEP_H_
#define AIR_TEST_KERNELS_SUPPORT_ATTENTION_STEP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/launch/attention.h"
#include "kernels/include/air_kernels.h"
#include "test/kernels/support/device_array.h"

namespace air_test {

// Texts of some sequences; the step computes the newest rows of each. KV head 0 reads everything (head group 0), head 1
// sinks and a window (group 1), head 2 is dropped, and so on.
struct SequenceCase {
  int32_t cached = 0;  // entries before the step
  int32_t rows = 1;
};
struct StepCase {
  std::string name;
  int32_t head_dim = 64;
  int32_t page_tokens = 32;
  AirKvType keys = AIR_KV_INT8;
  AirKvType values = AIR_KV_INT8;
  std::vector<int32_t> groups = {0, 1};  // of each KV head; -1: dropped
  int32_t heads_per_kv = 2;
  std::vector<SequenceCase> sequences = {{}};
  // Of group 1.
  int32_t sinks = 0, window = 0, evicted = 0;
  std::vector<uint8_t> gates;  // [query heads] or empty
  float query_size = 1.0f;
  uint32_t page_seed = 1;  // which pages the entries have
};

// How it is launched.
struct LaunchCase {
  int32_t m = 1;
  int32_t stages = 2;
  int32_t split_lanes = 0;  // 0: whole tiles
  int32_t tile_rows = 0;    // 0: as many as fit
};

class AttentionStep {
 public:
  explicit AttentionStep(const StepCase& step);

  int32_t rows() const { return rows_; }
  int32_t query_heads() const { return query_heads_; }
  int32_t row_width() const { return query_heads_ * step_.head_dim; }

  // [rows, query_heads * head_dim] binary16, or empty after a failed launch, which fails the test.
  std::vector<uint16_t> run(const LaunchCase& launch) const;
  // The result of the attention kernel alone, given by its name.
  air::emulator::Result launch(const char* kernel, const LaunchCase& launch, air::emulator::Order order) const;
  // The same of some of the step's rows only, in that order, as the last layer computes them.
  std::vector<uint16_t> run_rows(const LaunchCase& launch, const std::vector<int32_t>& rows) const;

  // In float64, [head_dim]; size: the sum of |weight * value| for each, what roundings are relative to.
  void expect(int32_t row, int32_t head, std::vector<double>* value, std::vector<double>* size) const;
  // Compares all of a result with expect(): each element within `tolerance` times its size.
  void check(const std::vector<uint16_t>& attended, double tolerance, const std::string& what) const;

 private:
  struct Group {
    int64_t page_bytes = 0;
    std::vector<uint8_t> host;  // pages in the CPU's layout
    std::vector<uint8_t> device;
    std::unique_ptr<DeviceArray<uint8_t>> memory;
  };

  void place_entries();
  void write_entries(int32_t kv_head, int32_t sequence);
  void make_ranges();
  void make_queries();
  // Of the CPU's layout: the member's bytes in the page of the entry of the text.
  uint8_t* member_of(int32_t kv_head, int32_t sequence, int32_t index);
  double element(bool is_key, int32_t kv_head, int32_t sequence, int32_t index, int32_t dim) const;
  double score(int32_t row, int32_t head, int32_t index) const;
  bool is_open(int32_t head) const;
  air::emulator::Result launch_rows(const char* kernel, const LaunchCase& launch, const std::vector<int32_t>& rows,
                                    air::emulator::Order order, std::vector<uint16_t>* attended) const;

  StepCase step_;
  AirKvLayout layout_;
  int32_t kv_heads_, query_heads_;
  int32_t rows_ = 0;
  int32_t table_pages_ = 0;           // of one page table
  std::vector<int32_t> sequence_of_;  // [rows]
  std::vector<int32_t> tables_;       // [2, sequences, table_pages_]
  std::vector<air::cuda::CacheRange> ranges_;  // [2, rows]
  std::vector<uint16_t> queries_, sink_queries_;  // [rows, query_heads, D]
  Group groups_[2];
};

}  // namespace air_test

#endif  // AIR_TEST_KERNELS_SUPPORT_ATTENTION_STEP_H_
