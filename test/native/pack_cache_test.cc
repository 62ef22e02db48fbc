#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "native/core/atomic_file.h"
#include "native/core/hash.h"
#include "native/core/model.h"
#include "test/native/check.h"
#include "test/native/support/tiny_model.h"

using air::Model;
using air::PackCacheOutcome;
using air::PackCacheReport;
using air::Status;
using air::StatusCode;
using air::TensorType;
using air_test::make_tiny_model;
using air_test::TinyModel;
using air_test::TinyOptions;

namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<char>;

// Of the fields of PackHeader.
constexpr size_t kVersionOffset = 24;
constexpr size_t kConversionsOffset = 28;
constexpr size_t kPathBytesOffset = 32;
constexpr size_t kFrontHashOffset = 80;
constexpr size_t kHeaderBytes = 88;
constexpr size_t kPackedOffset = size_t{2} << 20;

Bytes read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A model file and an empty directory for its packed weights, which go with the object.
struct Fixture {
  fs::path directory;
  TinyModel tiny;
  AirLayout layout;

  explicit Fixture(TinyOptions options = {}) {
    options.keeps_file = true;
    tiny = make_tiny_model(options);
    layout = options.layout;
    char pattern[] = "/tmp/air-pack-XXXXXX";
    directory = mkdtemp(pattern);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
  ~Fixture() {
    fs::remove_all(directory);
    fs::remove(source());
  }

  fs::path source() const { return tiny.directory.files[0]; }

  Status load(std::shared_ptr<const Model>* model, const air::ProgressCallback& progress = {}) const {
    return Model::load(tiny.directory, tiny.spec, {2, directory.string(), progress, layout}, model);
  }

  PackCacheReport load() const {
    std::shared_ptr<const Model> model;
    const Status status = load(&model);
    CHECK_MSG(status.ok(), status.message());
    return status.ok() ? model->pack_cache() : PackCacheReport();
  }

  std::vector<fs::path> files() const { return {fs::directory_iterator(directory), {}}; }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<const AirMatrix*> matrices_of(const Model& model) {
  std::vector<const AirMatrix*> all{&model.output().weight};
  for (const air::LayerWeights& layer : model.layers()) {
    for (const air::Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      all.push_back(&linear->weight);
    }
  }
  return all;
}

void check_same_weights(const Model& a, const Model& b, const std::string& name) {
  const auto first = matrices_of(a);
  const auto second = matrices_of(b);
  CHECK_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    const AirMatrix& matrix = *first[i];
    const auto bytes =
        static_cast<size_t>((matrix.rows + AIR_TILE_ROWS - 1) / AIR_TILE_ROWS * matrix.tile_stride);
    CHECK_MSG(second[i]->tile_stride == matrix.tile_stride, name);
    CHECK_MSG(std::memcmp(matrix.data, second[i]->data, bytes) == 0, name + " " + std::to_string(i));
    CHECK_MSG(reinterpret_cast<uintptr_t>(second[i]->data) % 64 == 0, name);
  }
  CHECK_EQ(a.weight_bytes(), b.weight_bytes());
}

void check_same_conversions(const Model& a, const Model& b) {
  CHECK_EQ(a.conversions().size(), b.conversions().size());
  for (size_t i = 0; i < a.conversions().size(); ++i) {
    const air::Conversion& x = a.conversions()[i];
    const air::Conversion& y = b.conversions()[i];
    CHECK(x.from == y.from && x.to == y.to && x.tensors == y.tensors);
    CHECK_EQ(x.error.squared_error, y.error.squared_error);
    CHECK_EQ(x.error.squared_weight, y.error.squared_weight);
    CHECK_EQ(x.error.max_abs_error, y.error.max_abs_error);
  }
}

// The file is not used but replaced by a good one, and the weights are right all along.
void check_replaced(const Fixture& fixture, const std::string& reason, const std::string& name) {
  std::shared_ptr<const Model> model;
  CHECK_MSG(fixture.load(&model).ok(), name);
  if (model == nullptr) return;
  const PackCacheReport& report = model->pack_cache();
  CHECK_MSG(report.outcome == PackCacheOutcome::kWritten, name);
  CHECK_MSG(contains(report.reason, reason), name + ": " + report.reason);
  check_same_weights(*fixture.tiny.model, *model, name);
  CHECK_MSG(fixture.load().outcome == PackCacheOutcome::kHit, name);
}

template <typename T>
T number_at(const Bytes& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Gives the file a version, and the hash that belongs to it.
void set_version(const fs::path& path, uint32_t version) {
  Bytes bytes = read(path);
  const size_t errors_bytes = number_at<uint32_t>(bytes, kConversionsOffset) * sizeof(air::ConversionError);
  const size_t front_bytes = kHeaderBytes + errors_bytes + number_at<uint64_t>(bytes, kPathBytesOffset);
  std::memcpy(bytes.data() + kVersionOffset, &version, sizeof(version));
  std::memset(bytes.data() + kFrontHashOffset, 0, sizeof(uint64_t));
  const uint64_t hash = air::hash_bytes(bytes.data(), static_cast<int64_t>(front_bytes), 0);
  std::memcpy(bytes.data() + kFrontHashOffset, &hash, sizeof(hash));
  write(path, bytes);
}

void move_time(const fs::path& path) {
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::nanoseconds(1000));
}

}  // namespace

TEST(mapped_weights_equal_packed_ones_bit_by_bit) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_0,
                                TensorType::kQ4K, TensorType::kQ6K}) {
    for (const bool tied : {false, true}) {
      TinyOptions options;
      options.type = type;
      options.tied_output = tied;
      options.biases = true;
      options.embedding_length = options.feed_forward_length = 512;  // its root makes scales round
      options.query_heads = 8;
      const Fixture fixture(options);
      const std::string name = air::tensor_type_info(type).name;
      CHECK(fixture.tiny.model->pack_cache().outcome == PackCacheOutcome::kOff);
      std::shared_ptr<const Model> written;
      std::shared_ptr<const Model> mapped;
      CHECK_MSG(fixture.load(&written).ok() && fixture.load(&mapped).ok(), name);
      CHECK_MSG(written->pack_cache().outcome == PackCacheOutcome::kWritten, name);
      CHECK_MSG(written->pack_cache().reason.empty(), written->pack_cache().reason);
      CHECK_MSG(mapped->pack_cache().outcome == PackCacheOutcome::kHit, mapped->pack_cache().reason);
      check_same_weights(*fixture.tiny.model, *written, name);
      check_same_weights(*fixture.tiny.model, *mapped, name);
      check_same_conversions(*written, *mapped);
      const bool rounds = type == TensorType::kQ4K || type == TensorType::kQ6K;
      CHECK_MSG((mapped->conversions()[0].error.squared_error > 0) == rounds, name);
      CHECK_EQ(fixture.files().size(), size_t{1});
    }
  }
}

TEST(a_damaged_file_is_packed_and_written_again) {
  const Fixture fixture;
  const fs::path path = fixture.load().file;
  const Bytes whole = read(path);
  CHECK(whole.size() > kPackedOffset + 4096);
  for (const size_t bytes : {size_t{0}, size_t{1}, kHeaderBytes - 1, kHeaderBytes, kPackedOffset - 1,
                             kPackedOffset, whole.size() / 2, whole.size() - 1}) {
    write(path, {whole.begin(), whole.begin() + static_cast<int64_t>(bytes)});
    check_replaced(fixture, "expected", "cut to " + std::to_string(bytes));
  }
  Bytes longer = whole;
  longer.push_back(0);
  write(path, longer);
  check_replaced(fixture, "a damaged one", "one byte more");
  std::vector<size_t> places{kPackedOffset, (kPackedOffset + whole.size()) / 2, whole.size() - 1};
  for (size_t place = 0; place < kHeaderBytes + 30; ++place) places.push_back(place);
  for (const size_t place : places) {
    Bytes flipped = whole;
    flipped[place] = static_cast<char>(flipped[place] ^ 0x10);
    write(path, flipped);
    check_replaced(fixture, place < kPackedOffset ? "a damaged one" : "checksum",
                   "flipped at " + std::to_string(place));
  }
}

TEST(a_file_of_another_version_is_replaced) {
  const Fixture fixture;
  const fs::path path = fixture.load().file;
  set_version(path, AIR_FORMAT_VERSION);
  CHECK(fixture.load().outcome == PackCacheOutcome::kHit);
  set_version(path, AIR_FORMAT_VERSION + 1);
  check_replaced(fixture,
                 std::string("but received ") + air::layout_name(fixture.layout) + " version " +
                     std::to_string(AIR_FORMAT_VERSION + 1),
                 "version 2");
  CHECK_EQ(fixture.files().size(), size_t{1});
}

TEST(each_layout_has_a_file_of_its_own) {
  Fixture fixture;
  for (const PackCacheOutcome expected : {PackCacheOutcome::kWritten, PackCacheOutcome::kHit}) {
    for (const AirLayout layout : {AIR_LAYOUT_QUADS, AIR_LAYOUT_PAIRS}) {
      fixture.layout = layout;
      std::shared_ptr<const Model> model;
      CHECK(fixture.load(&model).ok());
      CHECK_MSG(model->pack_cache().outcome == expected, air::layout_name(layout));
      CHECK_EQ(model->output().weight.layout, layout);
    }
  }
  CHECK_EQ(fixture.files().size(), size_t{2});
}

TEST(another_models_file_under_this_models_name_is_replaced) {
  TinyOptions options;
  options.tied_output = true;
  const Fixture other(options);
  const Fixture fixture;
  const fs::path path = fixture.load().file;
  fs::copy_file(other.load().file, path, fs::copy_options::overwrite_existing);
  check_replaced(fixture, "the packed weights of this model", "another model's");
}

TEST(a_moved_copied_or_touched_model_still_hits) {
  Fixture fixture;
  const std::string path = fixture.load().file;
  move_time(fixture.source());
  CHECK(fixture.load().outcome == PackCacheOutcome::kHit);

  const fs::path folder = fixture.directory / "elsewhere";
  fs::create_directory(folder);
  const fs::path copy = folder / fixture.source().filename();
  fs::copy_file(fixture.source(), copy);
  fs::remove(fixture.source());
  fixture.tiny.directory.files = {copy.string()};
  const PackCacheReport report = fixture.load();
  CHECK(report.outcome == PackCacheOutcome::kHit);
  CHECK_EQ(report.file, path);
}

TEST(a_changed_model_never_hits_and_its_old_file_goes) {
  const Fixture fixture;
  const fs::path path = fixture.load().file;
  const Bytes original = read(fixture.source());
  for (const air::TensorEntry& tensor : fixture.tiny.directory.tensors) {
    if (tensor.shape.size() != 2) continue;
    for (const int64_t place : {int64_t{0}, tensor.length_bytes - 4}) {  // in the sample, and not
      Bytes changed = original;
      changed[static_cast<size_t>(tensor.offset_bytes + place)] ^= 1;
      write(fixture.source(), changed);
      move_time(fixture.source());
      const PackCacheReport report = fixture.load();
      CHECK_MSG(report.outcome == PackCacheOutcome::kWritten, tensor.role);
      CHECK_MSG(contains(report.reason, place == 0 ? "" : "the content"), tensor.role + report.reason);
      CHECK_MSG((report.file == path) == (place != 0), tensor.role);
      CHECK_EQ(fixture.files().size(), size_t{1});
      write(fixture.source(), original);
      move_time(fixture.source());
      CHECK(fixture.load().outcome == PackCacheOutcome::kWritten);
    }
  }
}

TEST(files_that_are_not_of_this_model_stay) {
  const Fixture fixture;
  const Fixture other;
  write(fixture.directory / "notes.airpack", {'h', 'i'});
  fs::copy_file(other.load().file, fixture.directory / "other.airpack");
  CHECK(fixture.load().outcome == PackCacheOutcome::kWritten);
  CHECK_EQ(fixture.files().size(), size_t{3});
}

TEST(a_load_without_a_place_to_write_works_and_says_why) {
  const Fixture fixture;
  for (const std::string& place : {fixture.directory.string() + "/missing", fixture.source().string()}) {
    std::shared_ptr<const Model> model;
    CHECK(
        Model::load(fixture.tiny.directory, fixture.tiny.spec, {2, place, {}, fixture.layout}, &model).ok());
    CHECK(model->pack_cache().outcome == PackCacheOutcome::kUnwritten);
    CHECK_MSG(contains(model->pack_cache().reason, "expected a writable file for " + place),
              model->pack_cache().reason);
    check_same_weights(*fixture.tiny.model, *model, place);
  }
  const PackCacheReport written = fixture.load();
  fs::remove(written.file);
  fs::create_directory(written.file);
  const PackCacheReport report = fixture.load();
  CHECK(report.outcome == PackCacheOutcome::kUnwritten);
  CHECK_MSG(contains(report.reason, "directory"), report.reason);
  CHECK_EQ(fixture.files().size(), size_t{1});
}

TEST(a_write_that_fails_leaves_nothing_behind) {
  const Fixture fixture;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{kPackedOffset + 4096, before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const PackCacheReport report = fixture.load();
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(report.outcome == PackCacheOutcome::kUnwritten);
  CHECK_MSG(contains(report.reason, "File too large"), report.reason);
  CHECK(fixture.files().empty());
}

TEST(two_loads_at_once_work_and_one_file_results) {
  const Fixture fixture;
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<const Model>> models(4);
  std::vector<Status> statuses(models.size());
  for (size_t i = 0; i < models.size(); ++i) {
    threads.emplace_back([&, i] { statuses[i] = fixture.load(&models[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < models.size(); ++i) {
    CHECK_MSG(statuses[i].ok(), statuses[i].message());
    check_same_weights(*fixture.tiny.model, *models[i], "load " + std::to_string(i));
  }
  CHECK(fixture.load().outcome == PackCacheOutcome::kHit);
  CHECK_EQ(fixture.files().size(), size_t{1});
}

TEST(a_second_writer_gives_way_and_an_interrupted_one_is_taken_over) {
  const Fixture fixture;
  const fs::path path = fixture.load().file;
  fs::remove(path);
  {
    air::AtomicFile first;
    CHECK(first.open(path.string()).ok());
    const PackCacheReport report = fixture.load();
    CHECK(report.outcome == PackCacheOutcome::kUnwritten);
    CHECK_MSG(contains(report.reason, "no other writer"), report.reason);
  }
  CHECK(fixture.files().empty());
  write(path.string() + ".tmp", Bytes(1 << 20, 'x'));
  CHECK(fixture.load().outcome == PackCacheOutcome::kWritten);
  CHECK(fixture.load().outcome == PackCacheOutcome::kHit);
  CHECK_EQ(fixture.files().size(), size_t{1});
}

TEST(a_mapped_model_survives_the_replacement_of_its_file) {
  const Fixture fixture;
  std::shared_ptr<const Model> mapped;
  CHECK(fixture.load().outcome == PackCacheOutcome::kWritten);
  CHECK(fixture.load(&mapped).ok() && mapped->pack_cache().outcome == PackCacheOutcome::kHit);
  Bytes changed = read(fixture.source());
  changed.back() ^= 1;
  write(fixture.source(), changed);
  move_time(fixture.source());
  CHECK(fixture.load().outcome == PackCacheOutcome::kWritten);
  check_same_weights(*fixture.tiny.model, *mapped, "mapped before");
}

TEST(progress_reaches_all_bytes_and_cancelling_leaves_no_file) {
  const Fixture fixture;
  int64_t done = 0;
  int64_t total = -1;
  const auto watch = [&](int64_t done_bytes, int64_t total_bytes) {
    CHECK(done_bytes <= total_bytes && (total_bytes != total || done_bytes >= done));
    done = done_bytes;
    total = total_bytes;
    return true;
  };
  std::shared_ptr<const Model> model;
  CHECK(fixture.load(&model, watch).ok());
  CHECK_EQ(done, total);
  const int64_t packed_and_written = total;
  CHECK(fixture.load(&model, watch).ok());
  CHECK_EQ(done, total);
  CHECK(total < packed_and_written);

  fs::remove(model->pack_cache().file);
  const auto stop_at_the_end = [](int64_t done_bytes, int64_t total_bytes) {
    return done_bytes < total_bytes;
  };
  std::shared_ptr<const Model> none;
  CHECK(fixture.load(&none, stop_at_the_end).code() == StatusCode::kCancelled);
  CHECK(none == nullptr && fixture.files().empty());
}
