/*
 * What ragstone-extract does within its confinement to text, Markdown and HTML:
 * whatever the bytes, the text is valid, without controls, with marks in order.
 * The program's sources are taken in here: they are in no library.
 */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include "src/extract/charset.c"
#include "src/extract/doc.c"
#include "src/extract/front.c"
#include "src/extract/html.c"
#include "src/extract/kind.c"
#include "src/extract/markdown.c"
#include "src/extract/text.c"
/* Last: its statics have plain names. */
#include "src/extract/any.c"

/* Byte 0 chooses the name; the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "x.txt", "x.md", "x.html", "x" };
	struct input in;
	struct doc d;
	uint64_t at = 0;

	if (size < 2)
		return 0;
	in = (struct input){ (const char *)data + 1, size - 1, "", names[data[0] % 4] };
	doc_init(&d);
	if (extract_prepare(&in) == RAG_OK) {
		if (extract_run(&d, &in) == RAG_OK && doc_finish(&d) == RAG_OK) {
			const unsigned char *m = (const unsigned char *)d.marks.data;

			if (d.text.len && utf8_valid(d.text.data, d.text.len) != d.text.len)
				abort();
			for (size_t i = 0; i < d.text.len; i++)
				if ((unsigned char)d.text.data[i] < 0x20 && d.text.data[i] != '\n')
					abort();
			for (size_t i = 0; i < d.n_marks; i++) {
				if (frame_get(m, 8) < at || frame_get(m, 8) > d.text.len)
					abort();
				at = frame_get(m, 8);
				m += FRAME_MARK + frame_get(m + 14, 2);
			}
		}
		charset_free(charset);
		charset = NULL;
	}
	doc_release(&d);
	return 0;
}
