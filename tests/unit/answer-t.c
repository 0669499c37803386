#include "config.h"
#include "tests/tap.h"
#include "tests/tiny.h"

#include "base/mem.h"
#include "base/par.h"
#include "base/utf8.h"
#include "generator/answer.h"
#include "model/decoder.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define PASSAGE(title, score, s) { title, "", s, sizeof(s) - 1, score }
#define WORDS(...) (const char *const[]){ __VA_ARGS__ }, \
	sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static const struct passage passages[] = {
	PASSAGE("Elephants", 0.9f, "Elephants like peanuts."),
	PASSAGE("Normandy", 0.1f, "Rollo was the leader of the Normans, too far off to count."),
	PASSAGE("Normans", 0.8f, "They came from Norway. Rollo was the leader of the Normans. They stayed."),
};
static const char question[] = "Who was the leader of the Normans?";

/* A small model that says words, and what it takes to ask it. */
struct rig {
	char path[32];
	struct decoder *d;
	struct par *par;
	struct answerer *a;
	struct answer out;
	struct answer_opts opts;
	struct buf heard;
	size_t calls, stop_after;
	bool whole;		/* each call was valid UTF-8, and not empty */
	uint64_t cancel_at;	/* stop at this many units of the stage */
	const char *cancel_stage;
	size_t ticks;
};

static int hear(void *arg, const char *text, size_t len)
{
	struct rig *r = arg;

	buf_add(&r->heard, text, len);
	r->whole &= len && utf8_valid(text, len) == len;
	return ++r->calls == r->stop_after;
}

static int tick(void *arg, const struct progress_at *at)
{
	struct rig *r = arg;

	r->ticks++;
	return r->cancel_stage && !strcmp(at->stage, r->cancel_stage) && at->done >= r->cancel_at;
}

static struct progress progress = { tick, NULL };
static enum lookup_mode lookup;		/* of all rigs */

static int rig_open(struct rig *r, const struct tiny *t, int threads)
{
	int fd, rc;

	memset(r, 0, sizeof(*r));
	strcpy(r->path, "answer-t.XXXXXX");
	fd = mkstemp(r->path);
	if (fd >= 0)
		close(fd);
	r->opts = (struct answer_opts){ .max_tokens = 64, .min_score = 0.3f, .token = hear,
					.token_arg = r, .progress = &progress, .lookup = lookup };
	progress.arg = r;
	r->whole = true;
	if (threads)
		par_new(&r->par, threads);
	if (fd < 0 || !tiny_write(r->path, t))
		return RAG_EIO;
	rc = decoder_open(&r->d, r->path);
	return rc ? rc : answerer_new(&r->a, r->d, r->par);
}

static void rig_close(struct rig *r)
{
	answer_release(&r->out);
	answerer_free(r->a);
	decoder_close(r->d);
	par_free(r->par);
	buf_release(&r->heard);
	unlink(r->path);
}

static int ask_with(struct rig *r, const char *q, const struct passage *p, size_t n)
{
	answer_release(&r->out);
	buf_clear(&r->heard);
	r->calls = r->ticks = 0;
	r->whole = true;
	err_clear();
	return answer_make(&r->out, r->a, q, p, n, NULL, 0, &r->opts);
}

static int ask(struct rig *r, const char *q)
{
	return ask_with(r, q, passages, 3);
}

static const struct tiny normans = {
	TINY_CHATML, WORDS("Rollo", " was", " the", " leader."), -1, 2048,
};

static void test_supported(struct rig *r)
{
	const char *t = passages[2].text;

	is_int(ask(r, question), RAG_OK, "a question is answered");
	is_str(r->out.text, "Rollo was the leader.", "with the model's words");
	ok(!r->out.abstained && !strcmp(r->out.reason, "") && !r->out.stats.cut, "whole and not abstained");
	ok(r->out.n_used == 2 && r->out.used[0] == 0 && r->out.used[1] == 2,
	   "from the relevant passages, by their own numbers");
	ok(r->out.n_support == 1 && r->out.support[0].passage == 2
	   && r->out.support[0].start == 23 && r->out.support[0].end == 59, "supported by the sentence");
	ok(!strncmp(t + 23, "Rollo was the leader of the Normans.", 36), "that says so");
	is_int((long long)r->out.stats.answer_tokens, 4, "four tokens");
	ok(r->out.stats.prompt_tokens > 100 && r->out.stats.cached_tokens == 0, "nothing was in the cache");
	is_str(buf_str(&r->heard), "Rollo was the leader. [2]", "the stream was the answer with its passage's number");
	ok(r->whole && r->ticks > 4, "in whole characters, with progress");
}

static void test_cache(struct rig *r)
{
	size_t prompt;

	ask(r, question);
	prompt = r->out.stats.prompt_tokens;
	ask(r, question);
	is_int((long long)r->out.stats.cached_tokens, (long long)prompt - 1, "the same prompt is in the cache");
	is_str(r->out.text, "Rollo was the leader.", "and answered the same");
	ask(r, "Who was that?");
	ok(r->out.stats.cached_tokens > 100 && r->out.stats.cached_tokens < prompt - 20,
	   "another question shares what precedes it");
}

static void test_abstains(struct rig *r)
{
	is_int(ask_with(r, question, passages, 1), RAG_OK, "only elephants");
	ok(r->out.abstained && !strcmp(r->out.reason, "no support in the passages"), "support nothing of it");
	ok(r->out.n_support == 0 && r->out.n_used == 1, "though they were read");
	is_int(ask_with(r, question, passages + 1, 1), RAG_OK, "a passage below the score");
	ok(r->out.abstained && !strcmp(r->out.reason, "no relevant passage"), "is not relevant");
	ok(!strcmp(r->out.text, "") && !r->calls && !r->out.n_used && !r->out.stats.prompt_tokens,
	   "nothing is decoded");
	is_int(ask_with(r, question, NULL, 0), RAG_OK, "no passage at all");
	ok(r->out.abstained && !strcmp(r->out.reason, "no relevant passage"), "neither");
}

static void test_cut(struct rig *r)
{
	r->opts.max_tokens = 2;
	is_int(ask(r, question), RAG_OK, "two tokens at most");
	ok(r->out.stats.cut && !strcmp(r->out.text, "Rollo was"), "cut the answer");
	r->opts.max_tokens = 64;
	r->cancel_stage = "decode";
	r->cancel_at = 2;
	is_int(ask(r, question), RAG_OK, "a cancel while decoding");
	ok(r->out.stats.cut && !strcmp(r->out.text, "Rollo was"), "keeps what there is, too");
	r->cancel_stage = "prefill";
	r->cancel_at = 0;
	is_int(ask(r, question), RAG_ECANCEL, "a cancel before");
	ok(!r->out.text && !r->out.used && !r->out.support, "leaves nothing");
	r->cancel_stage = NULL;
	is_int(ask(r, question), RAG_OK, "asked again");
	is_str(r->out.text, "Rollo was the leader.", "all is well");
}

static void refused(struct rig *r, int code, const char *want, const char *name)
{
	int rc = ask(r, question);

	ok(rc == code && strstr(err_msg(), want), "%s (%s)", name, err_msg());
}

static void test_refused(struct rig *r)
{
	struct answer_opts o = r->opts;
	char *big = malloc(5001);

	is_int(ask(r, ""), RAG_EINVAL, "an empty question");
	is_str(err_msg(), "the question is empty", "is said to be");
	is_int(ask(r, " \n\t"), RAG_EINVAL, "blanks are no question");
	memset(big, 'q', 5000);
	big[5000] = '\0';
	is_int(ask(r, big), RAG_ELIMIT, "a question longer than the context");
	ok(strstr(err_msg(), "question has 5001 tokens, the context holds "), "is said to be: %s", err_msg());
	free(big);
	r->opts.max_tokens = 0;
	refused(r, RAG_EINVAL, "max-tokens", "no tokens to answer with");
	r->opts = o;
	r->opts.min_score = NAN;
	refused(r, RAG_EINVAL, "min-score", "a score that is no number");
	r->opts = o;
	r->opts.sample.top_p = 7;
	refused(r, RAG_EINVAL, "top-p", "a sampler's option");
	r->opts = o;
	r->opts.max_tokens = 1000000;
	is_int(ask(r, question), RAG_OK, "an answer longer than the context is no error");
	r->opts = o;
}

static void test_normans(void)
{
	struct rig r;

	if (ok(rig_open(&r, &normans, 0) == RAG_OK, "the model of the Normans opens")) {
		test_supported(&r);
		test_cache(&r);
		test_abstains(&r);
		test_cut(&r);
		test_refused(&r);
	}
	rig_close(&r);
}

/* Nothing is shown before a sentence has found support; then words as they come. */
static void test_stream(void)
{
	const struct tiny t = {
		TINY_CHATML, WORDS("Elephants", " fly.", " Rollo", " was", " the", " leader.", " Well", " done."),
		-1, 2048,
	};
	struct buf marked = BUF_INIT;
	struct rig r;

	if (!ok(rig_open(&r, &t, 0) == RAG_OK, "a model of several sentences"))
		return;
	is_int(ask(&r, question), RAG_OK, "is asked");
	is_str(buf_str(&r.heard), "Elephants fly. Rollo was the leader. [2] Well done.",
	       "the marker is behind the sentence that has support");
	is_int(answer_mark(&marked, &r.out), RAG_OK, "the whole answer is marked");
	is_str(buf_str(&marked), buf_str(&r.heard), "as it was streamed");
	ok(r.calls >= 4, "in pieces");
	r.stop_after = 2;
	is_int(ask(&r, question), RAG_OK, "a callback that stops");
	ok(r.out.stats.cut && !strcmp(r.out.text, "Elephants fly. Rollo was the leader. Well"),
	   "keeps what there is");
	buf_release(&marked);
	rig_close(&r);
}

static void test_utf8(void)
{
	const struct tiny t = {
		TINY_CHATML, WORDS("\n ", "caf\xc3", "\xa9 \xe2\x82", "\xac ", "\xff.", " \n", "\xf0\x9f"), -1, 2048,
	};
	char *text = NULL;
	struct answer_stats stats;
	struct rig r;

	ok(rig_open(&r, &t, 0) == RAG_OK, "a model that speaks in halves of characters");
	is_int(ask(&r, question), RAG_OK, "is understood");
	is_str(r.out.text, "caf\u00e9 \u20ac \ufffd.", "blanks and halves at the ends fall away");
	ok(r.out.abstained && !r.heard.len, "what has no support is not shown");
	is_int(answerer_generate(&text, &stats, r.a, "Go", false, &r.opts), RAG_OK, "the bare model");
	is_str(buf_str(&r.heard), text ? text : "", "shows it");
	ok(r.whole, "without halves");
	mem_free(text);
	rig_close(&r);
}

static void test_loop(void)
{
	const struct tiny t = { TINY_CHATML, WORDS("Rollo ", "the ", "leader "), 0, 2048 };
	struct rig r;
	char *text = NULL;
	struct answer_stats stats;

	ok(rig_open(&r, &t, 0) == RAG_OK, "a model that goes round in circles");
	is_int(ask(&r, question), RAG_OK, "is stopped");
	ok(r.out.stats.cut && r.out.stats.answer_tokens == 15, "when it says the same twelve again");
	r.opts.max_tokens = 30;
	is_int(answerer_generate(&text, &stats, r.a, "Go", false, &r.opts), RAG_OK, "but the bare model");
	is_int(text ? (long long)strlen(text) : 0, 10 * 17 - 1, "talks as long as it is let");
	mem_free(text);
	r.opts.max_tokens = 5000;
	text = NULL;
	is_int(answerer_generate(&text, &stats, r.a, "Go", true, &r.opts), RAG_OK, "up to a full cache");
	/* 2 tokens of the prompt and 2047 of three words; the last is never evaluated. */
	is_int(text ? (long long)strlen(text) : 0, 682 * 17 + 6, "which ends it");
	mem_free(text);
	rig_close(&r);
}

static void test_ignorance(void)
{
	static const char *const said[][3] = {
		{ "I don", "\u2019t", " know." }, { "The passages", " do not", " mention Rollo." },
		{ "There is", " no mention of", " it in the text." }, { "Unknown", ", Rollo", " perhaps." },
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		struct tiny t = { TINY_CHATML, said[i], 3, -1, 2048 };
		struct rig r;

		rig_open(&r, &t, 0);
		is_int(ask(&r, question), RAG_OK, "a model that doesn't know");
		ok(r.out.abstained && !r.out.n_support
		   && !strcmp(r.out.reason, "the model says that it doesn't know"), "abstains: %s", r.out.text);
		rig_close(&r);
	}
}

static void test_generate(void)
{
	struct rig r;
	char *text = NULL;
	struct answer_stats stats;

	rig_open(&r, &normans, 2);
	is_int(answerer_generate(&text, &stats, r.a, "Hello", false, &r.opts), RAG_OK, "the bare model");
	is_str(text, "Rollo was the leader.", "speaks");
	is_str(buf_str(&r.heard), text, "aloud");
	mem_free(text);
	is_int(answerer_generate(&text, &stats, r.a, "Hello <|im_start|>", true, &r.opts), RAG_OK, "raw");
	is_str(text, "Rollo was the leader.", "as well");
	mem_free(text);
	text = NULL;
	is_int(answerer_generate(&text, &stats, r.a, "", true, &r.opts), RAG_EINVAL, "but not of nothing");
	r.cancel_stage = "prefill";
	is_int(answerer_generate(&text, &stats, r.a, "Other", true, &r.opts), RAG_ECANCEL, "it can be cancelled");
	ok(!text, "and then gives nothing");
	rig_close(&r);
}

static void test_template(void)
{
	struct tiny t = normans;
	char *text = NULL;
	struct answer_stats stats;
	struct rig r;

	t.chat_template = "{{ messages }}";
	is_int(rig_open(&r, &t, 0), RAG_OK, "a model of an unknown template opens");
	is_int(ask(&r, question), RAG_EUNSUP, "but answers nothing");
	is_str(err_msg(), "unknown chat template of 'tiny'", "and is named");
	is_int(answerer_generate(&text, &stats, r.a, "Who", false, &r.opts), RAG_EUNSUP, "nor a plain prompt");
	is_int(answerer_generate(&text, &stats, r.a, "Who", true, &r.opts), RAG_OK, "a raw one needs no template");
	mem_free(text);
	rig_close(&r);
	t.chat_template = NULL;
	ok(rig_open(&r, &t, 0) == RAG_OK && ask(&r, question) == RAG_EUNSUP, "so with no template at all");
	rig_close(&r);
}

static void test_threads(void)
{
	char *first = NULL;

	for (int threads = 1; threads <= 3; threads++) {
		struct rig r;

		rig_open(&r, &normans, threads);
		/* Hot enough to draw from all of the vocabulary, bytes and halves included. */
		r.opts.sample = (struct sample_opts){ .temperature = 20, .seed = 5 };
		is_int(ask(&r, question), RAG_OK, "a seeded answer");
		ok(strlen(r.out.text) > 20 && r.whole, "of many tokens");
		if (first)
			is_str(r.out.text, first, "is the same for any number of threads");
		else
			first = mem_strdup(r.out.text);
		rig_close(&r);
	}
	mem_free(first);
}

/* What is sampled is the same with drafts and without. */
static void test_lookup(void)
{
	struct tiny t = { TINY_CHATML, WORDS("Rollo ", "the ", "leader "), 0, 2048 };
	char *text[2] = { NULL, NULL };
	struct answer_stats stats;
	struct rig r;

	rig_open(&r, &t, 2);
	r.opts.max_tokens = 100;
	for (int hot = 0; hot < 4; hot++) {
		r.opts.sample = (struct sample_opts){ .temperature = hot, .seed = 7 };
		for (int k = 0; k < 2; k++) {
			r.opts.lookup = k ? LOOKUP_ALWAYS : LOOKUP_OFF;
			ok(!answerer_generate(&text[k], &stats, r.a, "Go", false, &r.opts),
			   "at temperature %d", hot);
			ok(k ? stats.accepted_tokens > 0 : !stats.drafted_tokens,
			   "%zu of %zu drafted tokens were right", stats.accepted_tokens,
			   stats.drafted_tokens);
			ok(stats.accepted_tokens < stats.answer_tokens, "of %zu",
			   stats.answer_tokens);
		}
		is_str(text[1], text[0], "the same text");
		mem_free(text[0]);
		mem_free(text[1]);
	}
	rig_close(&r);
}

static void test_fault(void)
{
	struct answerer *a = NULL;
	struct rig r;
	unsigned long k;
	int rc = RAG_ENOMEM;
	char *text;
	struct answer_stats stats;

	rig_open(&r, &normans, 0);
	r.opts.max_tokens = 3;
	for (k = 1; rc == RAG_ENOMEM && k < 3000; k++) {
		answer_release(&r.out);
		mem_fail_at(k);
		rc = answer_make(&r.out, r.a, question, passages, 3, NULL, 0, &r.opts);
	}
	mem_fail_at(0);
	ok(rc == RAG_OK && k > 50, "each of %lu failed allocations of an answer is passed up", k - 2);
	is_str(r.out.text, "Rollo was the", "and the last try succeeds");
	rc = RAG_ENOMEM;
	for (k = 1; rc == RAG_ENOMEM && k < 100; k++) {
		mem_fail_at(k);
		rc = answerer_new(&a, r.d, NULL);
	}
	mem_fail_at(0);
	is_int(rc, RAG_OK, "of an answerer, too");
	answerer_free(a);
	rc = RAG_ENOMEM;
	for (k = 1; rc == RAG_ENOMEM && k < 1000; k++) {
		mem_fail_at(k);
		rc = answerer_generate(&text, &stats, r.a, "Hello", false, &r.opts);
	}
	mem_fail_at(0);
	is_int(rc, RAG_OK, "of the bare model, too");
	mem_free(text);
	rig_close(&r);
}

/* A real model, when there is one: small and not clever, but it can read one sentence. */
static void test_real(void)
{
	static const struct passage p[] = {
		PASSAGE("Steam engine", 0.7f, "The first commercial steam engine was built in 1712 by Thomas "
			"Newcomen. It pumped water out of a mine."),
	};
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	char path[512], *first = NULL;

	snprintf(path, sizeof(path), "%s%s/models/smollm2-135m-instruct/model.gguf",
		 cache ? cache : home ? home : "", cache ? "" : "/.cache/ragstone");
	if (access(path, R_OK)) {
		tap_skip(7, "no smollm2-135m-instruct");
		return;
	}
	for (int threads = 1; threads <= 2; threads++) {
		struct rig r = { .opts = { .max_tokens = 24, .min_score = 0.3f }, .path = "none" };

		par_new(&r.par, threads);
		ok(!decoder_open(&r.d, path) && !answerer_new(&r.a, r.d, r.par), "SmolLM2 opens");
		is_int(ask_with(&r, "When was the first commercial steam engine built?", p, 1), RAG_OK,
		       "and is asked");
		printf("# %s\n", r.out.text ? r.out.text : "");
		ok(r.out.n_support && strstr(r.out.text, "1712") && r.out.support[0].start == 0,
		   "it finds the year, and we its sentence");
		if (first)
			is_str(r.out.text, first, "the same with two threads");
		else
			first = mem_strdup(r.out.text);
		rig_close(&r);
	}
	mem_free(first);
}

int main(void)
{
	static const enum lookup_mode modes[] = { LOOKUP_OFF, LOOKUP_ALWAYS, LOOKUP_AUTO };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		lookup = modes[i];
		test_normans();
		test_stream();
		test_utf8();
		test_loop();
		test_ignorance();
		test_generate();
		test_template();
		test_threads();
		test_fault();
	}
	test_lookup();
	test_real();
	return tap_done();
}
