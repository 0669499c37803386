/*
 * Words: a block of any bytes is read without leaving it, and merges or is
 * refused; any text, behind a first byte 'T', makes a block that is whole.
 */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/words_block.h"
#include "index/words_build.h"

static void must(bool good)
{
	if (!good)
		abort();
}

/* True: all of it is in order. */
static bool read_term(const struct wblock *b, uint32_t t)
{
	char term[WBLOCK_TERM_MAX];
	size_t n = wblock_term(term, b, t);
	uint32_t df = 0, *place;
	struct wlist l;
	bool good;

	if (!n || !wblock_list(&l, b, t))
		return false;
	good = wblock_find(b, term, n) == t;
	for (; wlist_next(&l); df++) {
		must(l.row < b->n && l.tf);
		wblock_len(b, l.row);
		if (l.tf > (size_t)(l.pos_end - l.pos))
			return false;
		place = mem_alloc(l.tf * sizeof(*place));
		must(place != NULL);
		good &= wlist_places(place, &l);
		for (uint32_t i = 1; good && i < l.tf; i++)
			good = place[i] > place[i - 1];
		mem_free(place);
		if (!good)
			return false;
	}
	return good && !l.bad && df == l.df && l.pos == l.pos_end;
}

static bool read_block(const uint8_t *data, size_t size)
{
	struct wblock_source src = { .base = 5 };
	struct buf out = BUF_INIT;
	bool good = true;
	int rc;

	if (!wblock_open(&src.b, data, size))
		return false;
	wblock_check(data, size);
	wblock_row(&src.b, wblock_id(&src.b, src.b.n - 1));
	for (uint32_t t = 0; t < src.b.n_terms; t++)
		good &= read_term(&src.b, t);
	rc = wblock_merge(&out, &src, 1);
	must(rc == RAG_OK || rc == RAG_ECORRUPT || rc == RAG_ELIMIT || rc == RAG_ENOMEM);
	if (!rc)
		must(wblock_open(&src.b, out.data, out.len) && wblock_check(out.data, out.len));
	buf_release(&out);
	return good && !rc;
}

static void index_text(const char *s, size_t n)
{
	struct words_field f[2] = { { s, n / 3 }, { s + n / 3, n - n / 3 } };
	struct words_build *b;
	struct buf out = BUF_INIT;

	must(!words_build_new(&b, "english", true));
	must(!words_build_add(b, 1, f, 2));
	must(!words_build_add(b, 7, f, 1));
	must(!words_build_end(&out, b));
	must(wblock_check(out.data, out.len) && read_block((uint8_t *)out.data, out.len));
	words_build_free(b);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && *data == 'T')
		index_text((const char *)data + 1, size - 1);
	else
		read_block(data, size);
	return 0;
}
