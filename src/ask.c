/* The facade's part about questions: search, answer, and what supports it. */
#include "config.h"
#include "src/rag_impl.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "generator/answer.h"
#include "model/decoder.h"
#include "model/embed.h"
#include "src/rag_search.h"

#include <math.h>
#include <string.h>

#define DEFAULT_PASSAGES 5
#define DEFAULT_TOKENS 256
#define TURNS_MAX 8		/* remembered; the prompt takes what fits of them */

struct rag_chat {
	struct turn turn[TURNS_MAX];	/* strings owned; oldest first */
	size_t n;
};

struct answer_box {
	struct rag_answer pub;		/* first: what the caller holds */
	struct search_hits *hits;	/* owns the passages' strings */
	struct answer a;		/* owns the text */
	struct rag_passage *passage;
	struct rag_citation *citation;
	const struct rag_passage **passage_at;
	const struct rag_citation **citation_at;
	char **quote;			/* (n_support) the citations' texts, owned */
	char *marked, *model;		/* owned */
};

int rag_chat_new(struct rag_chat **out, struct rag *r)
{
	(void)r;	/* turns are text: what is remembered of them is nobody's */
	*out = mem_calloc(1, sizeof(**out));
	return *out ? RAG_OK : RAG_ENOMEM;
}

static void turn_free(struct turn *t)
{
	mem_free((char *)t->question);
	mem_free((char *)t->answer);
	t->question = t->answer = NULL;
}

void rag_chat_free(struct rag_chat *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		turn_free(&c->turn[i]);
	mem_free(c);
}

static int remember(struct rag_chat *c, const char *question, const char *answer)
{
	struct turn t = { mem_strdup(question), mem_strdup(answer) };

	if (!t.question || !t.answer) {
		turn_free(&t);
		return RAG_ENOMEM;
	}
	if (c->n == TURNS_MAX) {
		turn_free(&c->turn[0]);
		memmove(c->turn, c->turn + 1, (TURNS_MAX - 1) * sizeof(c->turn[0]));
		c->n--;
	}
	c->turn[c->n++] = t;
	return RAG_OK;
}

/* ---- retrieval ------------------------------------------------------------------ */

static int find_passages(struct search_hits **out, struct rag *r, const struct rag_chat *chat,
			 const char *question, const struct rag_search_opts *o)
{
	struct rag_search_opts so = *o;
	double embed;

	if (so.extent == RAG_BEST)
		so.extent = RAG_MERGED;
	if (chat && chat->n) {
		so.asked = chat->turn[chat->n - 1].question;
		so.answered = chat->turn[chat->n - 1].answer;
	}
	return rag_find(out, r, &(struct rag_question){ .text = question }, &so, DEFAULT_PASSAGES, &embed);
}

/* ---- the answer as the caller sees it ----------------------------------------------- */

static int number_of(const struct answer *a, size_t passage)
{
	for (size_t i = 0; i < a->n_used; i++)
		if (a->used[i] == passage)
			return (int)i + 1;
	return 0;
}

static int fill_passages(struct answer_box *b)
{
	const struct answer *a = &b->a;

	b->passage = mem_calloc(a->n_used, sizeof(*b->passage));
	b->passage_at = mem_calloc(a->n_used, sizeof(*b->passage_at));
	if (!b->passage || !b->passage_at)
		return RAG_ENOMEM;
	for (size_t i = 0; i < a->n_used; i++) {
		const struct search_hit *h = &b->hits->hit[a->used[i]];

		b->passage[i] = (struct rag_passage){
			.n = (int)i + 1, .doc = h->doc, .chunk = h->chunk, .uri = h->uri,
			.title = h->title, .heading = h->heading, .text = h->text,
			.start = h->start, .end = h->end, .page = h->page, .score = h->score,
			.trimmed = a->trimmed == a->used[i],
		};
		b->passage_at[i] = &b->passage[i];
	}
	b->pub.passage = b->passage_at;
	b->pub.n_passages = a->n_used;
	return RAG_OK;
}

/* The page of the supporting words: a chunk may go over a page's end.  When the
 * document was replaced meanwhile, the chunk's own page is the best we know. */
static uint32_t page_of(struct store_snap *v, const struct search_hit *h, size_t at)
{
	uint32_t page = 0, line;

	return h->page && !store_place(&page, &line, v, h->content, h->start + at) && page
		       ? page : h->page;
}

static int fill_citations(struct answer_box *b, struct store_snap *v)
{
	const struct answer *a = &b->a;

	b->citation = mem_calloc(a->n_support, sizeof(*b->citation));
	b->citation_at = mem_calloc(a->n_support, sizeof(*b->citation_at));
	b->quote = mem_calloc(a->n_support, sizeof(*b->quote));
	if (!b->citation || !b->citation_at || !b->quote)
		return RAG_ENOMEM;
	for (size_t i = 0; i < a->n_support; i++) {
		const struct support *s = &a->support[i];
		const struct search_hit *h = &b->hits->hit[s->passage];

		b->quote[i] = mem_strndup(h->text + s->start, s->end - s->start);
		if (!b->quote[i])
			return RAG_ENOMEM;
		b->citation[i] = (struct rag_citation){
			.n = number_of(a, s->passage), .doc = h->doc, .uri = h->uri,
			.page = page_of(v, h, s->start), .start = h->start + s->start, .end = h->start + s->end,
			.text = b->quote[i], .strength = s->strength,
			.sentence_start = s->sentence_start, .sentence_end = s->sentence_end,
		};
		b->citation_at[i] = &b->citation[i];
	}
	b->pub.citation = b->citation_at;
	b->pub.n_citations = a->n_support;
	return RAG_OK;
}

static int fill(struct answer_box *b, struct rag *r)
{
	struct buf marked = BUF_INIT;
	struct store_snap *v = NULL;
	struct answer *a = &b->a;
	int rc;

	rc = fill_passages(b);
	if (!rc)
		rc = store_snap(&v, r->store);
	if (!rc)
		rc = fill_citations(b, v);
	store_snap_end(v);
	if (!rc)
		rc = answer_mark(&marked, a);
	if (!rc) {
		b->marked = buf_detach(&marked);
		rc = b->marked ? RAG_OK : RAG_ENOMEM;
	}
	buf_release(&marked);
	b->pub.text = a->text;
	b->pub.marked = b->marked;
	b->pub.abstained = a->abstained;
	b->pub.reason = a->reason;
	b->pub.model = b->model;
	b->pub.prompt_tokens = (int)a->stats.prompt_tokens;
	b->pub.answer_tokens = (int)a->stats.answer_tokens;
	b->pub.drafted_tokens = (int)a->stats.drafted_tokens;
	b->pub.accepted_tokens = (int)a->stats.accepted_tokens;
	b->pub.cut = a->stats.cut;
	b->pub.seconds_prefill = a->stats.seconds_prefill;
	b->pub.seconds_decode = a->stats.seconds_decode;
	return rc;
}

static int passages_of(struct passage **out, const struct search_hits *h)
{
	struct passage *p = mem_calloc(h->n, sizeof(*p));

	if (!p)
		return RAG_ENOMEM;
	for (size_t i = 0; i < h->n; i++)
		p[i] = (struct passage){
			.title = h->hit[i].title, .heading = h->hit[i].heading,
			.text = h->hit[i].text, .len = h->hit[i].text_len, .score = isnan(h->hit[i].cosine) ? 1 : h->hit[i].cosine,
		};
	*out = p;
	return RAG_OK;
}

static int ask(struct answer_box *b, struct rag *r, struct rag_chat *chat,
	       const char *question, const struct rag_ask_opts *o, const struct rag_search_opts *so)
{
	struct answer_opts ao = {
		.sample = { o->temperature, o->top_k, o->top_p, o->min_p, o->seed },
		.max_tokens = o->max_tokens ? o->max_tokens : DEFAULT_TOKENS,
		.min_score = so->min_score != 0 ? (float)so->min_score : ANSWER_MIN_SCORE,
		.token = o->token, .token_arg = o->token_arg, .progress = &r->progress,
	};
	struct passage *passages = NULL;
	double t = clock_now();
	int rc;

	rc = find_passages(&b->hits, r, chat, question, so);
	b->pub.seconds_search = clock_now() - t;
	if (!rc)
		rc = rag_need_answerer(r);
	if (!rc)
		rc = passages_of(&passages, b->hits);
	if (!rc)
		rc = answer_make(&b->a, r->answerer, question, passages, b->hits->n,
				 chat ? chat->turn : NULL, chat ? chat->n : 0, &ao);
	mem_free(passages);
	if (!rc) {
		b->model = mem_strdup(decoder_name(r->decoder));
		rc = b->model ? fill(b, r) : RAG_ENOMEM;
	}
	if (!rc && chat && !b->a.abstained)
		rc = remember(chat, question, b->a.text);
	return rc;
}

int rag_ask(struct rag_answer **out, struct rag *r, struct rag_chat *chat,
	    const char *question, const struct rag_ask_opts *opts)
{
	struct rag_search_opts so;
	struct rag_ask_opts o;
	struct answer_box *b;
	int rc = rag_need_store(r);

	*out = NULL;
	if (!rc)
		rc = rag_opts_copy(&o, sizeof(o), opts);
	if (!rc)
		rc = rag_opts_copy(&so, sizeof(so), o.search);
	if (!rc && !question[strspn(question, " \t\r\n")])
		rc = err_set(RAG_EINVAL, "empty question");
	if (rc)
		return rag_done(r, rc);
	b = mem_calloc(1, sizeof(*b));
	if (!b)
		return rag_done(r, RAG_ENOMEM);
	rc = ask(b, r, chat, question, &o, &so);
	if (rc) {
		rag_answer_free(&b->pub);
		return rag_done(r, rc);
	}
	*out = &b->pub;
	return rag_done(r, RAG_OK);
}

void rag_answer_free(struct rag_answer *a)
{
	struct answer_box *b = (struct answer_box *)a;

	if (!b)
		return;
	for (size_t i = 0; b->quote && i < b->a.n_support; i++)
		mem_free(b->quote[i]);
	mem_free(b->quote);
	mem_free(b->citation);
	mem_free(b->citation_at);
	mem_free(b->passage);
	mem_free(b->passage_at);
	mem_free(b->marked);
	mem_free(b->model);
	answer_release(&b->a);
	search_hits_free(b->hits);
	mem_free(b);
}

int rag_generate(char **text, struct rag *r, const char *prompt,
		 const struct rag_generate_opts *opts)
{
	struct rag_generate_opts o;
	struct answer_stats stats;
	struct answer_opts ao;
	int rc;

	*text = NULL;
	rc = rag_opts_copy(&o, sizeof(o), opts);
	if (rc)
		return rag_done(r, rc);
	ao = (struct answer_opts){
		.sample = { o.temperature, o.top_k, o.top_p, o.min_p, o.seed },
		.max_tokens = o.max_tokens ? o.max_tokens : DEFAULT_TOKENS,
		.token = o.token, .token_arg = o.token_arg, .progress = &r->progress,
	};
	rc = rag_need_answerer(r);
	if (!rc)
		rc = answerer_generate(text, &stats, r->answerer, prompt, o.raw, &ao);
	return rag_done(r, rc);
}
