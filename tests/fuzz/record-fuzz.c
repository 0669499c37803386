/* Whatever a broken extractor writes: refused, or in order. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "ingest/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct extracted e = { 0 };

	if (extracted_parse(&e, data, size) == RAG_OK) {
		uint64_t at = 0;

		if (!e.len || utf8_valid(e.text, e.len) != e.len)
			abort();
		for (size_t i = 0; i < e.n_marks; i++) {
			if (e.marks[i].at < at || e.marks[i].at > e.len || e.marks[i].text[e.marks[i].text_len])
				abort();
			at = e.marks[i].at;
		}
	}
	extracted_release(&e);
	return 0;
}
