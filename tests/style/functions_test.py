import pytest

from functions import cpp_functions, python_functions


@pytest.mark.parametrize("text, expected", [
    ("int f() {\n    return 1;\n}\n", [("f", 1, 3)]),
    ("namespace a {\nnamespace {\nvoid f() {\n}\n} // namespace\n} // namespace a\n",
     [("f", 3, 4)]),
    ("class A {\npublic:\n    int f() const { return 1; }\n    int g_ = 0;\n};\n", [("f", 3, 3)]),
    ("struct A : B<C> {\n    A(int x) : x_{x}, y_{{1, 2}} {\n    }\n};\n", [("A", 2, 3)]),
    ("void f(Options options = {}) {\n}\nvoid g() {}\n", [("f", 1, 2), ("g", 3, 3)]),
    ("TEST(Ring, Wraps) {\n    for (;;) {\n    }\n}\n", [("TEST", 1, 4)]),
    ("template <typename T>\nT f(T t) {\n    if (t) {\n    }\n    return t;\n}\n", [("f", 1, 6)]),
    ("bool A::operator==(const A& a) const {\n    return true;\n}\n", [("operator==", 1, 3)]),
    ("struct stat f(int fd) {\n    struct stat facts {};\n}\n", [("f", 1, 3)]),
    ("int main(int argc, char** argv) {\n    return run([&] {\n        return 1;\n    });\n}\n",
     [("main", 1, 5)]),
    ("const auto f = [](int x) {\n    return x;\n};\n", [("f", 1, 3)]),
    ("auto f() -> std::array<int, 2> {\n    return {};\n}\n", [("f", 1, 3)]),
    ("void f() noexcept try {\n} catch (...) {\n}\n", [("f", 1, 2), ("catch", 2, 3)]),
    ("int f() {\n#if X\n    const char c = '{';\n#define Y {\\\n    {\n#endif\n    // {\n}\n",
     [("f", 1, 8)]),
    ('int f() {\n    g("}", R"({{{)", 1\'000, \'}\', "\\"}");\n}\n', [("f", 1, 3)]),
    ("[[nodiscard]] int f() {\n}\n", [("f", 1, 2)]),
])
def test_cpp_functions_are_found_from_head_to_closing_brace(text, expected):
    assert cpp_functions(text) == expected


@pytest.mark.parametrize("text", [
    "constexpr Verb verbs[] = {\n    {\"create\", create},\n    {\"list\", list},\n};\n",
    "enum class A : uint8_t { a, b };\n",
    "std::array<nlattr*, MAX + 1> attributes{};\n",
    "const auto limits = make({.a = 1});\n",
    "struct __attribute__((packed)) A {\n    uint8_t a;\n};\n",
    "struct alignas(64) A {\n    uint8_t a;\n};\n",
    "int f();\nint g(Options = {});\n",
    "extern \"C\" {\nint f();\n}\n",
])
def test_what_is_no_function_is_not_found(text):
    assert cpp_functions(text) == []


def test_python_functions_are_found_with_their_length():
    found = python_functions("class A:\n    def f(self):\n        x = 1\n        return x\n")
    assert [(function.name, function.lines) for function in found] == [("f", 3)]
