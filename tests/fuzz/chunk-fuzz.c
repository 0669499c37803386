/* Any text with any headings: chunks in order, within their bound, none of the text lost. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "ingest/chunk.h"

static bool white(const char *s, size_t from, size_t to)
{
	for (size_t k; from < to; from += k)
		if (!utf8_is_space(utf8_next(s + from, to - from, &k)))
			return false;
	return true;
}

/* Byte 0: number of marks; then 2 bytes each; then the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store_mark m[16];
	struct chunk_opts o = { NULL, 0, "title", NULL };
	struct chunks c = { 0 };
	struct buf text = BUF_INIT;
	size_t n = size ? data[0] % 16 : 0, at = 0;
	const char *s;

	if (size < 1 + 2 * n)
		return 0;
	if (utf8_repair(&text, (const char *)data + 1 + 2 * n, size - 1 - 2 * n, NULL))
		abort();
	s = buf_str(&text);
	for (size_t i = 0; i < n; i++) {
		uint8_t a = data[1 + 2 * i], b = data[2 + 2 * i];

		at = utf8_floor(s, text.len, at + a < text.len ? at + a : text.len);
		m[i] = (struct store_mark){ at, b & 1 ? STORE_PAGE : STORE_HEADING, (uint32_t)(b >> 1) % 6 + 1,
					    s + at, text.len - at < 8 ? text.len - at : 8 };
		m[i].text_len = utf8_floor(m[i].text, text.len - at, m[i].text_len);
	}
	if (chunk_text(&c, s, text.len, m, n, &o))
		abort();
	at = 0;
	for (size_t i = 0; i < c.n; i++) {
		if (c.v[i].start < at || c.v[i].end <= c.v[i].start || c.v[i].end > text.len ||
		    c.v[i].end - c.v[i].start > CHUNK_MAX_BYTES || !white(s, at, c.v[i].start) ||
		    utf8_floor(s, text.len, c.v[i].start) != c.v[i].start)
			abort();
		at = c.v[i].end;
	}
	if (!white(s, at, text.len))
		abort();
	chunks_release(&c);
	buf_release(&text);
	return 0;
}
