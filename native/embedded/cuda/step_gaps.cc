#include "native/embedded/cuda/step_gaps.h"

#include <cstdlib>
#include <fstream>
#include <utility>

namespace embedded::cuda {
namespace {

constexpr char kMeasuring[] = "measuring the gap between two steps";

}  // namespace

std::unique_ptr<StepGaps> StepGaps::FromEnvironment() {
  const char* const path = std::getenv("NODE_TENSORRT_LLM_CUDA_STEP_GAPS");
  return path == nullptr || *path == 0 ? nullptr : std::make_unique<StepGaps>(path);
}

StepGaps::StepGaps(std::string path) : path_(std::move(path)) {
  for (Event& start : starts_) start = MakeTimingEvent();
  for (Step& step : steps_) step.end = MakeTimingEvent();
}

StepGaps::~StepGaps() {
  std::ofstream file(path_);
  for (const Gap& gap : gaps_) file << gap.rows << ' ' << 1000 * gap.gap_ms << ' ' << 1000 * gap.work_ms << '\n';
}

void StepGaps::Submit(int decode_rows) {
  Step& step = StepAt(++submitted_);
  step.decode_rows = decode_rows;
  step.has_end = false;
}

void StepGaps::RecordStart(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  Check(cudaStreamIsCapturing(stream, &status), kMeasuring);
  const unsigned flags = status == cudaStreamCaptureStatusActive ? cudaEventRecordExternal : cudaEventRecordDefault;
  Check(cudaEventRecordWithFlags(starts_[static_cast<size_t>(graph())].get(), stream, flags), kMeasuring);
}

void StepGaps::RecordEnd(cudaStream_t stream) {
  Step& step = StepAt(submitted_);
  Check(cudaEventRecord(step.end.get(), stream), kMeasuring);
  step.has_end = true;
}

void StepGaps::Collect() {
  const Step& before = StepAt(collected_);
  const Step& step = StepAt(++collected_);
  if (step.decode_rows == 0 || step.decode_rows != before.decode_rows || !step.has_end || !before.has_end) return;
  Gap gap{step.decode_rows, 0, 0};
  const Event& start = starts_[collected_ % 2];
  Check(cudaEventElapsedTime(&gap.gap_ms, before.end.get(), start.get()), kMeasuring);
  Check(cudaEventElapsedTime(&gap.work_ms, start.get(), step.end.get()), kMeasuring);
  gaps_.push_back(gap);
}

}  // namespace embedded::cuda
