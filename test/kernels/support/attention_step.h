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
  int32_t nan_row = -1;        // whose queries are NaN
  float query_size = 1.0f;
  uint32_t page_seed = 1;  // which pages the entries have
};

// How it is launched.
struct LaunchCase {
  int32_t m = 1;
  int32_t stages = 2;
  int32_t split_lanes = 0;  // 0: whole tiles
  int32_t tile_rows = 0;    // 0: as many as fit
  air::emulator::Order order = air::emulator::Order::kForward;
};

class AttentionStep {
 public:
  explicit AttentionStep(const StepCase& step);

  int32_t rows() const { return rows_; }
  int32_t query_heads() const { return query_heads_; }
  int32_t row_width() const { return query_heads_ * step_.head_dim; }

  // [rows, query_heads * head_dim] binary16, or empty after a failed launch, which fails the test.
  std::vector<uint16_t> run(const LaunchCase& launch) const;
  // The same of some of the step's rows only, in that order, as the last layer computes them.
  std::vector<uint16_t> run_rows(const LaunchCase& launch, const std::vector<int32_t>& rows) const;
  // The same by a kernel given by its name; a failed launch fails no test.
  air::emulator::Result run_kernel(const char* kernel, const LaunchCase& launch,
                                   std::vector<uint16_t>* attended) const;

  // What an element should be, in float64.
  struct Expected {
    double value = 0;
    double size = 0;   // sum of |weight * value|: what roundings are relative to
    double reach = 0;  // sum of |largest weight * value|
    double score =
        0;  // largest sum of |query * key| of what is read: its float32 error makes that of a weight
  };
  // [head_dim]
  std::vector<Expected> expect(int32_t row, int32_t head) const;
  // The first element of a result that is not within `tolerance` times its size of expect(), in words; or empty.
  // Binary16 ends at 2^-24: weights below half of it, times the largest, are lost, and so are results.
  std::string find_error(const std::vector<uint16_t>& attended, double tolerance) const;

  // Of one row, [row_width()].
  std::vector<uint16_t> row_of(const std::vector<uint16_t>& attended, int32_t row) const;

  // [2 groups, sequences, pages of a table] of the newest token of each sequence.
  air::emulator::Result run_page_mass(std::vector<float>* out) const;
  std::vector<double> expect_page_mass() const;

 private:
  struct Memory;
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
  std::vector<air::cuda::KvMember> members() const;
  air::cuda::AttentionParams make_params(const Memory& memory) const;
  // Of the CPU's layout: the member's bytes in the page of the entry of the text.
  uint8_t* member_of(int32_t kv_head, int32_t sequence, int32_t index);
  double element(bool is_key, int32_t kv_head, int32_t sequence, int32_t index, int32_t dim) const;
  // Adds |query * key| of each dim to *size.
  double score(int32_t row, int32_t head, int32_t index, double* size) const;
  bool is_open(int32_t head) const;
  air::emulator::Result launch_rows(const char* kernel, const LaunchCase& launch,
                                    const std::vector<int32_t>& rows, std::vector<uint16_t>* attended) const;

  StepCase step_;
  AirKvLayout layout_;
  int32_t kv_heads_, query_heads_;
  int32_t rows_ = 0;
  int32_t table_pages_ = 0;                       // of one page table
  std::vector<int32_t> sequence_of_;              // [rows]
  std::vector<int32_t> tables_;                   // [2, sequences, table_pages_]
  std::vector<air::cuda::CacheRange> ranges_;     // [2, rows]
  std::vector<uint16_t> queries_, sink_queries_;  // [rows, query_heads, D]
  Group groups_[2];
};

}  // namespace air_test

#endif  // AIR_TEST_KERNELS_SUPPORT_ATTENTION_STEP_H_
