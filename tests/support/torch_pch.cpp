// The unit that carries the precompiled torch_pch.hpp.
