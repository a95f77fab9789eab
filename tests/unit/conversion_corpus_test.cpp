// Domains of every kind, there and back: no byte may be lost, and libvirt's schema knows each form.
#include "backend/base/error.h"
#include "xml/convert.h"
#include "xml/forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

namespace tapline::xml {
namespace {

constexpr auto schema_file = "/usr/share/libvirt/schemas/domain.rng"; // Debian: libvirt0.

class Schema {
public:
    static const Schema& libvirt() {
        static const Schema schema;
        return schema;
    }

    // Empty where the text is a domain, else the first complaint.
    std::string complaint_about(const std::string& text) const {
        const std::unique_ptr<xmlDoc, decltype(&xmlFreeDoc)> tree(
            xmlReadMemory(text.data(), static_cast<int>(text.size()), nullptr, nullptr, 0),
            xmlFreeDoc);
        const std::unique_ptr<xmlRelaxNGValidCtxt, decltype(&xmlRelaxNGFreeValidCtxt)> context(
            xmlRelaxNGNewValidCtxt(schema_.get()), xmlRelaxNGFreeValidCtxt);
        std::string first;
        xmlRelaxNGSetValidStructuredErrors(context.get(), note_first, &first);
        const int result = xmlRelaxNGValidateDoc(context.get(), tree.get());
        return result != 0 && first.empty() ? "it is no domain" : first;
    }

private:
    Schema() {
        const std::unique_ptr<xmlRelaxNGParserCtxt, decltype(&xmlRelaxNGFreeParserCtxt)> parser(
            xmlRelaxNGNewParserCtxt(schema_file), xmlRelaxNGFreeParserCtxt);
        schema_.reset(xmlRelaxNGParse(parser.get()));
        if (!schema_) {
            throw std::runtime_error(std::string("no schema in ") + schema_file);
        }
    }

    static void note_first(void* first, xmlError* error) {
        auto& text = *static_cast<std::string*>(first);
        text = text.empty() ? error->message : text;
    }

    std::unique_ptr<xmlRelaxNG, decltype(&xmlRelaxNGFree)> schema_{nullptr, xmlRelaxNGFree};
};

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::filesystem::path> files_in(const char* folder) {
    std::vector<std::filesystem::path> files;
    std::ranges::copy(std::filesystem::directory_iterator(folder), std::back_inserter(files));
    std::ranges::sort(files);
    return files;
}

// With everything dropped that a form may lack: it, too, comes back.
Conversion to(InterfaceKind form) {
    Conversion conversion{.to = form, .drop = {}};
    if (form != InterfaceKind::direct) {
        const auto names = droppable_names();
        conversion.drop.assign(names.begin(), names.end());
    }
    return conversion;
}

const auto to_direct_only = to(InterfaceKind::direct);

class Corpus : public testing::TestWithParam<std::filesystem::path> {
protected:
    std::string text_ = text_of(GetParam());
    std::string name_ = GetParam().filename();

    std::string back(const std::string& text) const { return convert(text, name_, to_direct_only); }
};

TEST_P(Corpus, IsWhatLibvirtTakes) {
    EXPECT_EQ(Schema::libvirt().complaint_about(text_), "");
    EXPECT_EQ(back(text_), text_);
}

TEST_P(Corpus, BecomesAPumpsAndComesBack) {
    const std::string pump = convert(text_, name_, to(InterfaceKind::vhostuser));
    EXPECT_EQ(Schema::libvirt().complaint_about(pump), "");
    const Domain domain = Domain::parse(pump, name_);
    EXPECT_TRUE(domain.shared_memory);
    EXPECT_THAT(domain.interfaces,
                testing::Contains(testing::Field(&Interface::kind, InterfaceKind::vhostuser)));
    EXPECT_EQ(convert(pump, name_, to(InterfaceKind::vhostuser)), pump);
    EXPECT_EQ(back(pump), text_);
}

TEST_P(Corpus, BecomesAHandOffAndComesBack) {
    const std::string handoff = convert(text_, name_, to(InterfaceKind::ethernet));
    EXPECT_EQ(Schema::libvirt().complaint_about(handoff), "");
    EXPECT_EQ(convert(handoff, name_, to(InterfaceKind::ethernet)), handoff);
    EXPECT_EQ(back(handoff), text_);
}

TEST_P(Corpus, ComesBackFromOneFormByTheOther) {
    const std::string pump = convert(text_, name_, to(InterfaceKind::vhostuser));
    const std::string handoff = convert(pump, name_, to(InterfaceKind::ethernet));
    EXPECT_EQ(Schema::libvirt().complaint_about(handoff), "");
    EXPECT_EQ(back(convert(handoff, name_, to(InterfaceKind::vhostuser))), text_);
}

// Each by itself, and back in the same order: what they share goes with the last.
TEST_P(Corpus, ComesBackInterfaceByInterface) {
    const Domain domain = Domain::parse(text_, name_);
    std::vector<std::string> numbers;
    for (size_t i = 0; i < domain.interfaces.size(); ++i) {
        if (domain.interfaces[i].kind == InterfaceKind::direct) {
            numbers.push_back(std::to_string(i + 1));
        }
    }
    std::string text = text_;
    auto form = InterfaceKind::ethernet;
    for (const std::string& number : numbers) {
        text = convert(text, name_, to(form), number);
        EXPECT_EQ(Schema::libvirt().complaint_about(text), "");
        form = InterfaceKind::vhostuser;
    }
    for (const std::string& number : numbers) {
        text = convert(text, name_, to_direct_only, number);
    }
    EXPECT_EQ(text, text_);
}

std::string name_of(const testing::TestParamInfo<std::filesystem::path>& test) {
    std::string name = test.param.stem();
    std::ranges::replace_if(
        name, [](char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Domains, Corpus, testing::ValuesIn(files_in(TAPLINE_DOMAINS)), name_of);

class Example : public testing::TestWithParam<std::filesystem::path> {
protected:
    std::string text_ = text_of(GetParam());
    std::string name_ = GetParam().filename();
};

TEST_P(Example, IsWhatLibvirtTakesAndTaplineUnderstands) {
    EXPECT_EQ(Schema::libvirt().complaint_about(text_), "");
    EXPECT_THAT(Domain::parse(text_, name_).interfaces, testing::SizeIs(1));
}

// The pump that is started by hand knows its parent, and the domain does not.
TEST_P(Example, BecomesEachOtherFormIfItNamesItsParent) {
    const Interface interface = Domain::parse(text_, name_).interfaces.at(0);
    const bool is_ours = interface.kind == InterfaceKind::direct || interface.device;
    EXPECT_EQ(is_ours, name_ != "pump.xml");
    for (const InterfaceKind form :
         {InterfaceKind::direct, InterfaceKind::ethernet, InterfaceKind::vhostuser}) {
        const Conversion conversion{.to = form, .drop = to(InterfaceKind::ethernet).drop};
        if (!is_ours) {
            EXPECT_THROW(convert(text_, name_, conversion), Error);
            continue;
        }
        const std::string there = convert(text_, name_, conversion);
        EXPECT_EQ(Schema::libvirt().complaint_about(there), "");
        if (interface.kind == InterfaceKind::direct) {
            EXPECT_EQ(convert(there, name_, to_direct_only), text_);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Files, Example, testing::ValuesIn(files_in(TAPLINE_EXAMPLES)), name_of);

TEST(CorpusOfDomains, IsJudgedByASchemaThatRefuses) {
    const std::string text = "<domain type='kvm'><name>a</name><devices><interface type='direct'>"
                             "<source mode='bridge'/></interface></devices></domain>";
    EXPECT_NE(Schema::libvirt().complaint_about(text), "");
}

TEST(CorpusOfDomains, IsLarge) {
    EXPECT_GE(files_in(TAPLINE_DOMAINS).size(), 60);
}

} // namespace
} // namespace tapline::xml
