#pragma once

// Precompiled once for all tests that use libtorch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
