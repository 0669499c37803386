#include "config.h"
#include "index/store.h"

#include <string.h>

#include "index/analyze.h"
#include "index/store_check.h"

#define BATCH 256u	/* chunks that are analysed again at a time */
#define UNKNOWN UINT64_MAX	/* a print, where its block has a fault */

/* ---- a block -------------------------------------------------------------------- */

/* Order decides nothing in a sum: a chunk's print is the same whichever block it lies in. */
static uint64_t print_of(const char *term, size_t n, const uint32_t *place, uint32_t tf)
{
	uint64_t h = 14695981039346656037u;	/* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)term[i]) * 1099511628211u;
	for (uint32_t i = 0; i < tf; i++)
		h = (h ^ place[i]) * 1099511628211u;
	return h ^ h >> 29;
}

struct term_check {
	const struct wblock *b;
	uint64_t *print;	/* (b->n) of the rows */
	uint32_t *place;	/* owned */
	uint32_t cap;
	char last[WBLOCK_TERM_MAX];
	size_t last_len;
};

/* What is wrong with term t; NULL: nothing.  Its postings go into the prints. */
static const char *term_fault(int *rc, struct term_check *k, uint32_t t)
{
	char term[WBLOCK_TERM_MAX];
	size_t n = wblock_term(term, k->b, t);
	size_t m = n < k->last_len ? n : k->last_len;
	int cmp = memcmp(k->last, term, m);
	uint32_t df = 0;
	struct wlist l;

	if (!n || cmp > 0 || (!cmp && n <= k->last_len))
		return "a term out of order";
	memcpy(k->last, term, n);
	k->last_len = n;
	if (!wblock_list(&l, k->b, t))
		return "a term without postings";
	for (; wlist_next(&l); df++) {
		if (l.tf > (size_t)(l.pos_end - l.pos))
			return "fewer places than occurrences";
		if (l.tf > k->cap) {
			void *p = mem_realloc(k->place, l.tf, sizeof(*k->place));

			if (!p) {
				*rc = RAG_ENOMEM;
				return NULL;
			}
			k->place = p;
			k->cap = l.tf;
		}
		if (!wlist_places(k->place, &l))
			return "a malformed place";
		for (uint32_t i = 1; i < l.tf; i++)
			if (k->place[i] <= k->place[i - 1])
				return "places out of order";
		k->print[l.row] += print_of(term, n, k->place, l.tf);
	}
	return l.bad ? "a malformed posting" : df != l.df ? "another number of chunks than postings" :
	       l.pos != l.pos_end ? "more places than occurrences" : NULL;
}

/* print: (b->n), zeroed; gets the rows' prints. */
static int block_terms(const char **fault, uint64_t *print, const struct wblock *b)
{
	struct term_check k = { .b = b, .print = print };
	int rc = RAG_OK;

	*fault = NULL;
	for (uint32_t t = 0; !rc && !*fault && t < b->n_terms; t++)
		*fault = term_fault(&rc, &k, t);
	mem_free(k.place);
	return rc;
}

static void block_rows_seen(struct check *c, uint64_t no, const struct wblock *b, const uint64_t *print,
			    bool whole)
{
	uint64_t last = 0, words = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		uint64_t id = wblock_id(b, i);

		words += wblock_len(b, i);
		if (id <= last)
			check_fault(c, "word block %llu is out of order", (unsigned long long)no);
		last = id;
		if (id >= c->v->tx.st.next_chunk) {
			check_fault(c, "words of chunk %llu, which was never given", (unsigned long long)id);
			continue;
		}
		if (c->seen[id / 8] >> id % 8 & 1)
			check_fault(c, "chunk %llu has its words twice", (unsigned long long)id);
		c->seen[id / 8] |= (uint8_t)(1u << id % 8);
		c->print[id] = whole ? print[i] + wblock_len(b, i) : UNKNOWN;
	}
	if (words != b->words)
		check_fault(c, "word block %llu has %llu words, not %u", (unsigned long long)no,
			    (unsigned long long)words, b->words);
}

static int check_block(struct check *c, const MDB_val *key, const MDB_val *val)
{
	uint64_t no = codec_unkey64((const uint8_t *)key->mv_data + 4);
	const char *fault;
	uint64_t *print;
	struct wblock b;
	int rc;

	if (!wblock_open(&b, val->mv_data, val->mv_size))
		return check_fault(c, "word block %llu is malformed", (unsigned long long)no);
	if (!wblock_check(val->mv_data, val->mv_size))
		return check_fault(c, "word block %llu fails its checksum", (unsigned long long)no);
	if (!no || no >= c->v->tx.st.next_block)
		check_fault(c, "word block %llu has a number that was never given", (unsigned long long)no);
	print = mem_calloc(b.n, sizeof(*print));
	if (!print)
		return RAG_ENOMEM;
	rc = block_terms(&fault, print, &b);
	if (fault)
		check_fault(c, "word block %llu has %s", (unsigned long long)no, fault);
	if (!rc)
		block_rows_seen(c, no, &b, print, !fault);
	mem_free(print);
	return rc;
}

/* ---- the words themselves ---------------------------------------------------------- */

struct again {			/* chunks, analysed once more */
	struct check *c;
	struct words_build *b;
	uint64_t todo;		/* chunks from here on have no words yet */
	size_t n;
};

static int again_compare(struct again *a)
{
	struct buf block = BUF_INIT;
	uint64_t *print = mem_calloc(BATCH, sizeof(*print));
	const char *fault;
	struct wblock b;
	int rc = print ? words_build_end(&block, a->b) : RAG_ENOMEM;

	if (!rc && block.len && wblock_open(&b, block.data, block.len)) {
		rc = block_terms(&fault, print, &b);
		for (uint32_t i = 0; !rc && i < b.n; i++) {
			uint64_t found = a->c->print[wblock_id(&b, i)];

			if (found != UNKNOWN && found != print[i] + wblock_len(&b, i))
				check_fault(a->c, "chunk %llu has other words than its text",
					    (unsigned long long)wblock_id(&b, i));
		}
	}
	a->n = 0;
	buf_release(&block);
	mem_free(print);
	return rc;
}

static int again_chunk(void *arg, const struct store_chunk *ch)
{
	struct again *a = arg;
	int rc;

	if (ch->id >= a->todo || ch->id >= a->c->v->tx.st.next_chunk)
		return RAG_OK;
	if (!(a->c->seen[ch->id / 8] >> ch->id % 8 & 1))
		return check_fault(a->c, "chunk %llu has lost its words", (unsigned long long)ch->id);
	rc = words_of_chunk(a->b, a->c->v, ch);
	if (!rc && ++a->n == BATCH)
		rc = again_compare(a);
	return rc;
}

static int check_again(struct check *c, const struct words_state *ws)
{
	struct again a = { .c = c, .todo = ws->todo < ws->todo_end ? ws->todo : UINT64_MAX };
	int rc = words_build_new(&a.b, ws->set.language, ws->set.stop);

	for (size_t i = 0; !rc && i < c->n_spans; i++) {
		if (c->span[i].limbo)
			continue;
		rc = store_chunks(c->v, c->span[i].content, again_chunk, &a);
		if (rc) {
			words_build_clear(a.b);
			a.n = 0;
			rc = check_survive(c, rc, "a part of content", c->span[i].content);
		}
	}
	if (!rc && a.n)
		rc = again_compare(&a);
	words_build_free(a.b);
	return rc;
}

int check_words(struct check *c)
{
	struct tx *t = &c->v->tx;
	struct words_state ws;
	uint64_t visible = 0, all;
	int rc = words_state_get(&ws, t);

	if (rc == RAG_ENOENT)		/* a store of before there were words */
		return RAG_OK;
	if (rc)
		return check_survive(c, rc, "the record of words", 0);
	memset(c->seen, 0, t->st.next_chunk / 8 + 1);
	c->hidden_rows = 0;
	c->print = mem_calloc(t->st.next_chunk + 1, sizeof(*c->print));
	if (!c->print)
		return RAG_ENOMEM;
	rc = check_each(c, DB_WORDS, 12, "a word block", check_block);
	if (!rc)
		rc = check_each(c, DB_WORDS_HIDDEN, 12, "a hidden range", check_hidden);
	if (!rc && ws.version == ANALYZE_VERSION)
		rc = check_again(c, &ws);
	for (size_t i = 0; i < c->n_spans; i++)
		for (uint64_t id = c->span[i].first; !c->span[i].limbo && id < c->span[i].first + c->span[i].n; id++)
			visible += id < t->st.next_chunk && (c->seen[id / 8] >> id % 8 & 1);
	all = check_rows(c);
	if (!rc && all != visible + c->hidden_rows)
		check_fault(c, "words of %llu chunks, but %llu visible and %llu hidden", (unsigned long long)all,
			    (unsigned long long)visible, (unsigned long long)c->hidden_rows);
	return rc;
}
