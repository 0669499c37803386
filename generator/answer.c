#include "config.h"
#include "generator/answer.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "generator/evidence.h"
#include "generator/prompt.h"
#include "generator/template.h"
#include "model/decoder.h"
#include "model/tok.h"

#define CONTEXT 4096	/* tokens at most: five passages and a conversation need half of it */
#define PREFILL 256	/* tokens a call: the bar moves, and no kernel gains from more */
#define LOOP 12		/* tokens: an answer that says these again goes round in circles */

struct answerer {
	const struct decoder *d;		/* borrowed */
	const struct chat_format *format;	/* static; NULL until needed */
	struct decoder_run *run;		/* owned */
	size_t context;
	float *logits;				/* (vocab) owned */
	float *ahead;				/* (1 + LOOKUP_MAX, vocab) owned; NULL until drafts come */
	int32_t *ids;				/* (context + 1) owned: a prompt and what was decoded */
	struct lookup lookup;
};

int answerer_new(struct answerer **out, const struct decoder *d, struct par *par)
{
	struct answerer *a = mem_calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return RAG_ENOMEM;
	a->d = d;
	a->context = decoder_context(d) < CONTEXT ? decoder_context(d) : CONTEXT;
	lookup_init(&a->lookup);
	a->logits = mem_calloc(decoder_vocab(d), sizeof(*a->logits));
	a->ids = mem_calloc(a->context + 1, sizeof(*a->ids));
	if (!a->logits || !a->ids) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	rc = decoder_run_new(&a->run, d, a->context, par);
	if (rc)
		goto fail;
	*out = a;
	return RAG_OK;
fail:
	answerer_free(a);
	return rc;
}

void answerer_free(struct answerer *a)
{
	if (!a)
		return;
	if (a->run)
		decoder_run_free(a->run);
	mem_free(a->logits);
	mem_free(a->ahead);
	mem_free(a->ids);
	mem_free(a);
}

/* Not needed for a raw prompt, so that a base model can have one. */
static int need_format(struct answerer *a)
{
	const char *text;
	size_t len = 0;

	if (a->format)
		return RAG_OK;
	text = decoder_template(a->d, &len);
	return template_find(&a->format, text, len, decoder_tok(a->d), decoder_name(a->d));
}

/* Where the sentences of a streamed answer may find support. */
struct ground {
	const char *question;
	const struct passage *passages;
	const size_t *used;
	size_t n_used;
};

/* The text being decoded, and the bytes held back: half a character, or blanks
 * that only count when something follows. */
struct stream {
	struct buf text, held;
	bool trim;	/* no blanks at either end */
	bool stopped;	/* the callback asked to */
	const struct answer_opts *opts;
	const struct ground *ground;	/* NULL: shown as it comes, without markers */
	size_t shown;		/* bytes of text that the caller has seen */
	size_t n_marked;	/* sentences that are over */
	bool open;		/* one of them is supported: from there on the rest streams */
};

static bool blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Bytes of an unfinished character at the end of s: more may complete it. */
static size_t unfinished(const char *s, size_t n)
{
	for (size_t k = 1; k <= 3 && k <= n; k++) {
		unsigned char c = (unsigned char)s[n - k];
		size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

		if (c >= 0xc0)
			return k < want ? k : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

/* " [2][1]": the passages behind one sentence, each once, by strength. */
static int add_marks(struct buf *out, const struct support *s, size_t n, const size_t *used,
		     size_t n_used)
{
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i++) {
		size_t number = 0, before = 0;

		while (number < n_used && used[number] != s[i].passage)
			number++;
		while (before < i && s[before].passage != s[i].passage)
			before++;
		if (before == i)
			rc = buf_addf(out, "%s[%zu]", i ? "" : " ", number + 1);
	}
	return rc;
}

int answer_mark(struct buf *out, const struct answer *a)
{
	size_t at = 0, i = 0;
	int rc = RAG_OK;

	while (!rc && i < a->n_support) {
		size_t end = a->support[i].sentence_end, first = i;

		while (i < a->n_support && a->support[i].sentence_end == end)
			i++;
		rc = buf_add(out, a->text + at, end - at);
		if (!rc)
			rc = add_marks(out, a->support + first, i - first, a->used, a->n_used);
		at = end;
	}
	return rc ? rc : buf_adds(out, a->text + at);
}

static void show(struct stream *s, const char *text, size_t n)
{
	if (n && s->opts->token(s->opts->token_arg, text, n))
		s->stopped = true;
}

static bool refuses(const char *text);

/* The sentence that ends at `end` is over: its markers, when it has any. */
static int sentence_over(struct stream *s, size_t end)
{
	const struct ground *g = s->ground;
	struct support *support = NULL;
	struct buf marks = BUF_INIT;
	size_t n = 0, first;
	int rc;

	rc = evidence_find(&support, &n, g->question, s->text.data, end, g->passages, g->used,
			   g->n_used, EVIDENCE_MIN);
	first = n;
	while (first && support[first - 1].sentence_end == end)
		first--;
	if (!rc)
		rc = add_marks(&marks, support + first, n - first, g->used, g->n_used);
	if (!rc && marks.len && !s->open)
		s->open = !refuses(s->text.data);
	if (!rc && s->open) {
		if (end > s->shown) {
			show(s, s->text.data + s->shown, end - s->shown);
			s->shown = end;
		}
		show(s, buf_str(&marks), marks.len);
	}
	buf_release(&marks);
	mem_free(support);
	return rc;
}

/*
 * An answer without support is never shown, so nothing is until a sentence has
 * some; from there on text streams as it comes, and each sentence's markers
 * behind it as soon as the next one begins.
 */
static int stream_show(struct stream *s, bool end)
{
	struct text_spans spans = { 0 };
	size_t over;
	int rc = RAG_OK;

	if (!s->opts->token || !s->text.len)
		return RAG_OK;
	if (s->ground) {
		rc = text_sentences(&spans, s->text.data, s->text.len);
		over = end ? spans.n : spans.n ? spans.n - 1 : 0;
		for (; !rc && s->n_marked < over; s->n_marked++)
			rc = sentence_over(s, spans.v[s->n_marked].end);
		text_spans_release(&spans);
	}
	if (!rc && (s->open || !s->ground)) {
		show(s, s->text.data + s->shown, s->text.len - s->shown);
		s->shown = s->text.len;
	}
	return rc;
}

/* Passes on what is whole of the held bytes, the invalid replaced by U+FFFD. */
static int stream_flush(struct stream *s, bool end)
{
	size_t tail = unfinished(buf_str(&s->held), s->held.len);
	size_t n = s->held.len - tail, skip = 0;
	struct buf rest = BUF_INIT;
	int rc;

	while (s->trim && n && blank(s->held.data[n - 1]))
		n--;
	if (s->trim && !s->text.len)
		while (skip < n && blank(s->held.data[skip]))
			skip++;
	if (!n)
		return end ? stream_show(s, true) : RAG_OK;
	rc = utf8_repair(&s->text, s->held.data + skip, n - skip, NULL);
	if (!rc && !end)
		rc = buf_add(&rest, s->held.data + n, s->held.len - n);
	buf_clear(&s->held);
	if (!rc)
		rc = buf_add(&s->held, buf_str(&rest), rest.len);
	buf_release(&rest);
	return rc ? rc : stream_show(s, end);
}

/* The decoder's ticks are about one call; the caller's about the whole stage. */
struct relay {
	const struct progress *to;
	const char *stage;
	uint64_t done, total;
};

static int relay(void *arg, const struct progress_at *at)
{
	struct relay *r = arg;

	(void)at;
	return progress_tick(r->to, r->stage, NULL, r->done, r->total) != RAG_OK;
}

/* logits: (vocab) of the last token, NULL for none; or of every one, (n, vocab). */
static int eval(struct answerer *a, float *logits, bool every, const int32_t *ids, size_t n,
		struct relay r)
{
	struct progress p = { relay, &r };
	int rc = progress_tick(r.to, r.stage, NULL, r.done, r.total);

	if (rc)
		return rc;
	return every ? decoder_eval_all(logits, a->run, ids, n) :
		       decoder_eval(logits, a->run, ids, n, &p);
}

/* Leaves the logits behind the prompt; what the cache already holds of it is kept. */
static int prefill(struct answerer *a, const struct prompt *p, const struct progress *to,
		   size_t *cached)
{
	const int32_t *had = decoder_tokens(a->run);
	size_t keep = 0, most = decoder_len(a->run);
	int rc = RAG_OK;

	while (keep < most && keep < p->len && had[keep] == p->id[keep])
		keep++;
	if (keep == p->len)
		keep--;		/* the last token's logits are wanted again */
	decoder_rewind(a->run, keep);
	*cached = keep;
	for (size_t at = keep; !rc && at < p->len;) {
		size_t n = p->len - at < PREFILL ? p->len - at : PREFILL;

		rc = eval(a, at + n == p->len ? a->logits : NULL, false, p->id + at, n,
			  (struct relay){ to, "prefill", at, p->len });
		at += n;
	}
	return rc;
}

/* Do the last LOOP tokens occur earlier in the n that were decoded? */
static bool loops(const int32_t *id, size_t n)
{
	for (size_t i = 0; i + LOOP < n; i++)
		if (!memcmp(id + i, id + n - LOOP, LOOP * sizeof(*id)))
			return true;
	return false;
}

/* What is known beyond the token picked last. */
struct ahead {
	const float *logits;		/* (vocab) behind it */
	int32_t draft[LOOKUP_MAX];
	size_t n, right;		/* drafted, and in the cache; of these picked so far */
	struct answer_stats *stats;
};

/* The draft has served: what of it was not picked leaves the cache. */
static void settle(struct answerer *a, struct ahead *h)
{
	if (!h->n)
		return;
	decoder_rewind(a->run, decoder_len(a->run) - (h->n - h->right));
	lookup_learn(&a->lookup, h->n, h->right);
	h->stats->drafted_tokens += h->n;
	h->stats->accepted_tokens += h->right;
	h->n = h->right = 0;
}

/* One evaluation of the token at hand, ids[at], and a draft of at most `most` behind it. */
static int evaluate(struct answerer *a, struct ahead *h, size_t at, enum lookup_mode mode,
		    size_t most, struct relay r)
{
	int32_t ids[1 + LOOKUP_MAX] = { a->ids[at] };
	size_t room = decoder_room(a->run) - 1, n;
	double start;
	int rc;

	n = lookup_draft(h->draft, &a->lookup, mode, a->ids, at + 1, most < room ? most : room);
	if (n && !a->ahead)
		a->ahead = mem_calloc((1 + LOOKUP_MAX) * decoder_vocab(a->d), sizeof(*a->ahead));
	if (n && !a->ahead)
		return RAG_ENOMEM;
	memcpy(ids + 1, h->draft, n * sizeof(*ids));
	start = clock_now();
	rc = eval(a, n ? a->ahead : a->logits, n > 0, ids, 1 + n, r);
	if (rc)
		return rc;
	lookup_time(&a->lookup, 1 + n, clock_now() - start);
	h->n = n;
	h->logits = n ? a->ahead : a->logits;
	return RAG_OK;
}

/* Leaves the logits behind ids[at], which was just picked. */
static int advance(struct answerer *a, struct ahead *h, size_t at, enum lookup_mode mode,
		   size_t most, struct relay r)
{
	if (h->right < h->n && h->draft[h->right] == a->ids[at]) {
		h->logits += decoder_vocab(a->d);
		h->right++;
		return RAG_OK;
	}
	settle(a, h);
	return evaluate(a, h, at, mode, most, r);
}

static int decode(struct answerer *a, struct stream *s, struct sampler *sampler, bool guard,
		  struct answer_stats *stats)
{
	const struct tok *t = decoder_tok(a->d);
	size_t prompt = decoder_len(a->run), max = (size_t)s->opts->max_tokens, n = 0;
	struct ahead h = { .logits = a->logits, .stats = stats };
	int rc = RAG_OK;

	lookup_begin(&a->lookup);
	memcpy(a->ids, decoder_tokens(a->run), prompt * sizeof(*a->ids));
	stats->cut = true;
	while (!rc && n < max) {
		int32_t id = sampler_pick(sampler, h.logits);

		if (id < 0) {
			rc = err_set(RAG_EFORMAT, "'%s' predicts no token", decoder_name(a->d));
			break;
		}
		if (tok_is_end(t, id)) {
			stats->cut = false;
			break;
		}
		a->ids[prompt + n++] = id;
		rc = tok_piece(&s->held, t, id, false);
		if (!rc)
			rc = stream_flush(s, false);
		if (rc || s->stopped || n == max || prompt + n > a->context)
			break;
		rc = advance(a, &h, prompt + n - 1, s->opts->lookup, max - n - 1,
			     (struct relay){ s->opts->progress, "decode", n, max });
		if (rc == RAG_ECANCEL) {
			rc = RAG_OK;
			break;
		}
		if (!rc && guard && loops(a->ids + prompt, n))
			break;
	}
	settle(a, &h);
	stats->answer_tokens = n;
	return rc ? rc : stream_flush(s, true);
}

/* What both kinds of call need, and what they give. */
struct job {
	struct prompt prompt;
	struct stream stream;
	struct sampler *sampler;
};

static void job_release(struct job *j)
{
	prompt_release(&j->prompt);
	buf_release(&j->stream.text);
	buf_release(&j->stream.held);
	sampler_free(j->sampler);
}

static int job_init(struct job *j, const struct answerer *a, const struct answer_opts *opts)
{
	*j = (struct job){ .stream = { .opts = opts } };
	if (opts->max_tokens < 1)
		return err_set(RAG_EINVAL, "max-tokens %d is not positive", opts->max_tokens);
	if (!(opts->min_score >= -1 && opts->min_score <= 1))
		return err_set(RAG_EINVAL, "min-score %g is not between -1 and 1",
			       (double)opts->min_score);
	return sampler_new(&j->sampler, &opts->sample, decoder_vocab(a->d));
}

/* Tokens for the prompt; an answer of more than half the context has to do with less. */
static size_t budget(const struct answerer *a, const struct answer_opts *opts)
{
	size_t max = (size_t)opts->max_tokens;

	return a->context - (max < a->context / 2 ? max : a->context / 2);
}

static bool empty(const char *s)
{
	while (blank(*s))
		s++;
	return !*s;
}

/* The passages that are relevant: their indices, and copies for the prompt. */
static size_t choose(struct passage *chosen, size_t *which, const struct passage *p, size_t n,
		     float min)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i].score >= min && p[i].len) {
			chosen[k] = p[i];
			which[k++] = i;
		}
	return k;
}

/* Phrases by which small models say that they don't know. */
static const char *const refusals[] = {
	"i don't know", "i do not know", "i'm sorry", "i am sorry", "sorry,", "unknown", "n/a",
	"not specified", "not mentioned", "not provided", "not stated", "not given", "not found",
	"no answer", "no information", "there is no information", "there is no mention", "it is not specified",
	"it is not mentioned", "unanswerable", "the answer is not", "not applicable",
};
static const char *const sources[] = { "passage", "text", "context", "information" };
static const char *const lacks[] = {
	" not mention", "n't mention", " not specif", "n't specif", " not provide", "n't provide",
	" not contain", "n't contain", " not state", "n't state", " not include", "n't include",
	" not give", "n't give", "no information", "no mention", "not enough", "cannot be determined",
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static bool holds(const char *s, const char *const *phrase, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(s, phrase[i]))
			return true;
	return false;
}

/* Of the answer's beginning: what follows a refusal is talk. */
static bool refuses(const char *text)
{
	char s[200];
	size_t n = 0;

	for (size_t i = 0; text[i] && n + 1 < sizeof(s); i++) {
		if (!strncmp(text + i, "\u2019", 3)) {
			s[n++] = '\'';
			i += 2;
		} else {
			s[n++] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
		}
	}
	s[n] = '\0';
	for (size_t i = 0; i < COUNT(refusals); i++)
		if (!strncmp(s, refusals[i], strlen(refusals[i])))
			return true;
	return holds(s, sources, COUNT(sources)) && holds(s, lacks, COUNT(lacks));
}

static void abstain(struct answer *out, const char *reason)
{
	out->abstained = true;
	out->reason = reason;
	mem_free(out->support);
	out->support = NULL;
	out->n_support = 0;
}

static int run(struct answer_stats *out, struct answerer *a, struct job *j, bool guard)
{
	double start = clock_now(), mid;
	int rc = prefill(a, &j->prompt, j->stream.opts->progress, &out->cached_tokens);

	if (rc)
		return rc;
	mid = clock_now();
	rc = decode(a, &j->stream, j->sampler, guard, out);
	out->prompt_tokens = j->prompt.len;
	out->seconds_prefill = mid - start;
	out->seconds_decode = clock_now() - mid;
	return rc;
}

int answer_make(struct answer *out, struct answerer *a, const char *question,
		const struct passage *passages, size_t n_passages,
		const struct turn *turns, size_t n_turns, const struct answer_opts *opts)
{
	struct passage *chosen = NULL;
	size_t *which = NULL, n;
	struct ground ground;
	struct job j;
	int rc;

	*out = (struct answer){ .reason = "", .trimmed = SIZE_MAX };
	rc = job_init(&j, a, opts);
	if (!rc && empty(question))
		rc = err_set(RAG_EINVAL, "the question is empty");
	if (!rc)
		rc = need_format(a);
	if (rc)
		goto fail;
	rc = RAG_ENOMEM;
	chosen = mem_calloc(n_passages, sizeof(*chosen));
	which = mem_calloc(n_passages, sizeof(*which));
	if (!chosen || !which)
		goto fail;
	n = choose(chosen, which, passages, n_passages, opts->min_score);
	if (n) {
		rc = prompt_build(&j.prompt, a->format, decoder_tok(a->d), question, chosen, n,
				  turns, n_turns, budget(a, opts));
		if (rc)
			goto fail;
		out->n_used = j.prompt.n_used;
		for (size_t i = 0; i < out->n_used; i++)
			j.prompt.used[i] = which[j.prompt.used[i]];
		out->used = j.prompt.used;
		j.prompt.used = NULL;
		if (j.prompt.trimmed != SIZE_MAX)
			out->trimmed = which[j.prompt.trimmed];
		ground = (struct ground){ question, passages, out->used, out->n_used };
		j.stream.ground = &ground;
		j.stream.trim = true;
		rc = run(&out->stats, a, &j, true);
		if (rc)
			goto fail;
	}
	rc = RAG_ENOMEM;
	out->text = mem_strndup(buf_str(&j.stream.text), j.stream.text.len);
	if (!out->text)
		goto fail;
	rc = evidence_find(&out->support, &out->n_support, question, out->text,
			   j.stream.text.len, passages, out->used, out->n_used, EVIDENCE_MIN);
	if (rc)
		goto fail;
	if (!n)
		abstain(out, "no relevant passage");
	else if (refuses(out->text))
		abstain(out, "the model says that it doesn't know");
	else if (!out->n_support)
		abstain(out, "no support in the passages");
fail:
	if (rc)
		answer_release(out);
	mem_free(chosen);
	mem_free(which);
	job_release(&j);
	return rc;
}

void answer_release(struct answer *a)
{
	mem_free(a->text);
	mem_free(a->support);
	mem_free(a->used);
	*a = (struct answer){ .reason = "", .trimmed = SIZE_MAX };
}

int answerer_generate(char **out, struct answer_stats *stats, struct answerer *a,
		      const char *prompt, bool raw, const struct answer_opts *opts)
{
	struct job j;
	int rc = job_init(&j, a, opts);

	*stats = (struct answer_stats){ 0 };
	if (!rc && !*prompt)
		rc = err_set(RAG_EINVAL, "the prompt is empty");
	if (!rc && !raw)
		rc = need_format(a);
	if (!rc)
		rc = prompt_plain(&j.prompt, raw ? NULL : a->format, decoder_tok(a->d), prompt,
				  budget(a, opts));
	j.stream.trim = !raw;
	if (!rc)
		rc = run(stats, a, &j, false);
	if (!rc) {
		*out = mem_strndup(buf_str(&j.stream.text), j.stream.text.len);
		rc = *out ? RAG_OK : RAG_ENOMEM;
	}
	job_release(&j);
	return rc;
}
