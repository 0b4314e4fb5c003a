"""The contract suite lies in the package: its asserts explain themselves only if pytest is told to rewrite them."""

import pytest

pytest.register_assert_rewrite("nameplate.testing.store_contract")
