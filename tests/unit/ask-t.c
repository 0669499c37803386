/* Questions through the library: answers, conversations, stopping; and real models when there are any. */
#include "config.h"
#include "tests/rag_util.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

/* What an older caller does not know stays as it was, whatever lies behind its struct. */
static void test_older(struct rag *r)
{
	struct rag_search_opts s = RAG_SEARCH_OPTS_INIT;
	struct rag_ask_opts a = RAG_ASK_OPTS_INIT;
	struct rag_hits *h;
	struct rag_answer *answer;

	s.size = offsetof(struct rag_search_opts, in);
	s.k = 1;
	s.in = "no such document";
	s.min_score = 7;
	is_int(rag_search(&h, r, "rollo", &s), RAG_OK, "an older caller's search");
	ok(h && h->n == 1, "by the options it had");
	rag_hits_free(h);
	a.size = offsetof(struct rag_ask_opts, max_tokens);
	a.search = &s;
	a.max_tokens = -1;
	a.top_p = 99;
	is_int(rag_ask(&answer, r, NULL, "Who was the leader of the Normans?", &a), RAG_OK, "and question");
	ok(answer && answer->n_passages == 1 && !answer->cut, "with its own search's options");
	rag_answer_free(answer);
	s = (struct rag_search_opts)RAG_SEARCH_OPTS_INIT;
	s.size = 0;
	is_int(rag_ask(&answer, r, NULL, "Who?", &a), RAG_EINVAL, "a search's options without their size");
	ok(!answer, "no answer");
}

/* ---- questions ----------------------------------------------------------------------------------- */

struct heard {
	struct buf text;
	size_t calls, stop_after;
	struct rag *cancel;
};

static int hear(void *arg, const char *text, size_t len)
{
	struct heard *h = arg;

	buf_add(&h->text, text, len);
	if (h->cancel)
		rag_cancel(h->cancel);
	return ++h->calls == h->stop_after;
}

static void test_ask(struct rag *r)
{
	struct rag_ask_opts o = RAG_ASK_OPTS_INIT;
	struct rag_search_opts so = RAG_SEARCH_OPTS_INIT;
	struct heard heard = { .text = BUF_INIT };
	const struct rag_citation *c;
	struct rag_answer *a;
	struct rag *other = open_store("main", NULL);
	char *text;
	uint64_t *ids;
	size_t n;

	o.token = hear;
	o.token_arg = &heard;
	is_int(rag_ask(&a, other, NULL, "Who was the leader of the Normans?", &o), RAG_OK, "a question");
	rag_close(other);
	is_str(a->text, "Rollo was the leader.", "answered");
	is_str(a->marked, "Rollo was the leader. [1]", "with its marker");
	is_str(buf_str(&heard.text), a->marked, "as it was streamed");
	is_str(a->model, "tiny", "by this model");
	ok(!a->abstained && !a->cut && !*a->reason && a->answer_tokens == 4 && a->prompt_tokens > 50, "whole");
	if (ok(a->n_citations == 1 && a->n_passages == 1, "from one passage")) {
		c = a->citation[0];
		is_int(rag_resolve(&ids, &n, r, c->uri), RAG_OK, "its document");
		ok(!rag_document_text(&text, &n, r, ids[0]) && c->end <= n && c->end - c->start == strlen(c->text) &&
		   !memcmp(text + c->start, c->text, strlen(c->text)) && strstr(c->text, "Rollo"), "has these very words");
		ok(c->doc == ids[0] && c->n == 1 && c->sentence_end == strlen(a->text), "numbers");
		rag_text_free(text);
		rag_ids_free(ids);
	}
	rag_answer_free(a);
	rag_answer_free(NULL);

	is_int(rag_ask(&a, r, NULL, "Where do castles run?", NULL), RAG_OK, "what no passage speaks of");
	ok(a->abstained && !strcmp(a->reason, "no relevant passage") && !*a->text && !a->n_citations, "is not answered");
	rag_answer_free(a);
	so.min_score = -1;
	o = (struct rag_ask_opts)RAG_ASK_OPTS_INIT;
	o.search = &so;
	is_int(rag_ask(&a, r, NULL, "Where do castles run?", &o), RAG_OK, "with every passage");
	ok(a->n_passages == 2 && a->abstained && !a->n_citations, "it has no support");
	rag_answer_free(a);
	o.max_tokens = 2;
	is_int(rag_ask(&a, r, NULL, "Who was the leader of the Normans?", &o), RAG_OK, "two tokens");
	ok(a->cut && a->answer_tokens == 2 && !strcmp(a->text, "Rollo was"), "are cut");
	rag_answer_free(a);
	o.max_tokens = -1;
	is_int(rag_ask(&a, r, NULL, "Who?", &o), RAG_EINVAL, "a negative number");
	o.max_tokens = 0;
	o.temperature = NAN;
	is_int(rag_ask(&a, r, NULL, "Who?", &o), RAG_EINVAL, "a temperature that is none");
	is_int(rag_ask(&a, r, NULL, "\t", NULL), RAG_EINVAL, "an empty question");
	text = malloc(100001);
	memset(text, 'q', 100000);
	memcpy(text, "rollo ", 6);
	text[100000] = 0;
	o.temperature = 0;
	is_int(rag_ask(&a, r, NULL, text, &o), RAG_ELIMIT, "one beyond the context");
	ok(!a, "no answer");
	free(text);
	buf_release(&heard.text);
}

/* The second question names no subject: the first one brings its passage. */
static void test_chat(struct rag *r)
{
	struct rag_chat *chat;
	struct rag_answer *a;
	int first;

	is_int(rag_chat_new(&chat, r), RAG_OK, "a conversation");
	is_int(rag_ask(&a, r, chat, "Who was the leader of the Normans?", NULL), RAG_OK, "begins");
	first = a->prompt_tokens;
	rag_answer_free(a);
	is_int(rag_ask(&a, r, chat, "Where was the leader?", NULL), RAG_OK, "and goes on");
	ok(!a->abstained && a->prompt_tokens > first + 20, "with the turn before");
	rag_answer_free(a);
	for (int i = 0; i < 12; i++)
		if (!rag_ask(&a, r, chat, "Who was the leader of the Normans?", NULL))
			rag_answer_free(a);
		else
			ok(false, "turn %d", i);
	is_int(rag_ask(&a, r, chat, "Elephants like peanuts?", NULL), RAG_OK, "after many turns");
	rag_answer_free(a);
	rag_chat_free(chat);
	rag_chat_free(NULL);
}

static void test_generator(struct rag *r)
{
	struct rag_generate_opts o = RAG_GENERATE_OPTS_INIT;
	const char *before = rag_generator(r);
	char *text;

	is_str(before, "tiny", "the generator");
	is_int(rag_use_generator(r, "no-such-model"), RAG_ENOENT, "another that is not there");
	is_int(rag_use_generator(r, "words"), RAG_EUNSUP, "one that is none");
	put("models/broken.gguf", "GGUF");
	is_int(rag_use_generator(r, "broken.gguf"), RAG_EFORMAT, "one that is broken");
	is_int(rag_use_generator(r, NULL), RAG_ENOENT, "the default one, which is not here");
	ok(rag_generator(r) == before, "the one before goes on");
	is_int(rag_generate(&text, r, "x", NULL), RAG_OK, "working");
	is_str(text, "Rollo was the leader.", "as ever");
	rag_text_free(text);
	is_int(rag_use_generator(r, "endless"), RAG_OK, "another that is");
	is_str(rag_generator(r), "endless", "by its name");
	o.max_tokens = 4;
	o.raw = 1;
	is_int(rag_generate(&text, r, "Once", &o), RAG_OK, "a raw prompt");
	is_str(text, "Again and again,Again", "goes on without a format");
	rag_text_free(text);
	is_int(rag_use_generator(r, rag_generator(r)), RAG_OK, "by the pointer that this call ends");
	is_str(rag_generator(r), "endless", "still there");
	is_int(rag_use_generator(r, "tiny"), RAG_OK, "and back");
}

/* ---- stopped -------------------------------------------------------------------------------------- */

struct stopper {
	const char *at;		/* the stage to stop in; NULL: none */
	char seen[256];
	char stage[16];		/* of the last call */
	double last;		/* and when it was */
	bool rushed;		/* two calls about the same were less than a fiftieth of a second apart */
};

static int stop(void *arg, const struct rag_progress *p)
{
	struct stopper *s = arg;
	struct timespec t;
	double now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
	s->rushed |= !strcmp(p->stage, s->stage) && !p->total && now - s->last < 0.02;
	snprintf(s->stage, sizeof(s->stage), "%s", p->stage);
	s->last = now;
	if (!strstr(s->seen, p->stage))
		strncat(strncat(s->seen, p->stage, 40), " ", 2);
	return s->at && !strcmp(s->at, p->stage);
}

static void test_cancel(struct rag *r)
{
	static const char *const stages[] = { "scan", "extract", "embed", "commit" };
	struct stopper s = { 0 };
	struct rag_ask_opts ao = RAG_ASK_OPTS_INIT;
	struct heard heard = { .text = BUF_INIT, .cancel = r };
	struct buf large = BUF_INIT;
	const char *file = in_dir("more.txt"), *texts[] = { "rollo" };
	struct rag_ingest_totals t;
	struct rag_generate_opts go = RAG_GENERATE_OPTS_INIT;
	struct rag_answer *a;
	struct rag_hits *h;
	size_t dim;
	float *v;
	char *text;

	put("more.txt", "More castles.");
	rag_set_progress(r, stop, &s);
	for (size_t i = 0; i < COUNT(stages); i++) {
		s.at = stages[i];
		is_int(rag_ingest(r, &file, 1, NULL, &t), RAG_ECANCEL, stages[i]);
		ok(!t.added && !t.failed && !resolved(r, file), "stopped there, nothing is in");
	}
	s.at = "prefill";
	is_int(rag_ask(&a, r, NULL, "Who was the leader of the Normans?", NULL), RAG_ECANCEL, "prefill");
	s.at = "decode";
	is_int(rag_ask(&a, r, NULL, "Who was the leader of the Normans?", NULL), RAG_OK, "decode");
	ok(a->cut && a->answer_tokens >= 1 && !strncmp(a->text, "Rollo", 5), "keeps what there is");
	rag_answer_free(a);
	s.at = NULL;
	s.seen[0] = 0;
	is_int(rag_ask(&a, r, NULL, "Who was the leader of the Normans?", NULL), RAG_OK, "not stopped");
	ok(strstr(s.seen, "prefill ") && strstr(s.seen, "decode "), "the stages are told");
	rag_answer_free(a);
	memset(&s, 0, sizeof(s));
	for (int i = 0; i < 30000; i++)
		buf_adds(&large, "Rivers run to the sea. ");
	is_int(rag_ingest_bytes(r, "large", large.data, large.len, "text/plain", NULL, NULL), RAG_OK, "much text");
	ok(strstr(s.seen, "embed ") && !s.rushed, "no more calls than a bar needs");
	buf_release(&large);
	rag_set_progress(r, NULL, NULL);

	rag_cancel(r);
	is_int(rag_search(&h, r, "rollo", NULL), RAG_ECANCEL, "a signal just before a search");
	ok(hits(r, "rollo", NULL) > 1, "stops that one alone");
	rag_cancel(r);
	is_int(rag_ask(&a, r, NULL, "", NULL), RAG_EINVAL, "nor a call that fails");
	is_int(rag_embed(&v, &dim, r, texts, 1), RAG_OK, "carries it on");
	rag_vectors_free(v);
	rag_cancel(r);
	is_int(rag_embed(&v, &dim, r, texts, 1), RAG_ECANCEL, "embedding");
	rag_cancel(r);
	is_int(add(r, "note:8", "x"), RAG_ECANCEL, "an ingest");
	ao.token = hear;
	ao.token_arg = &heard;
	is_int(rag_ask(&a, r, NULL, "Who was the leader of the Normans?", &ao), RAG_OK, "from the token's callback");
	ok(!a->abstained && heard.calls, "keeps the answer");
	rag_answer_free(a);
	heard.cancel = NULL;
	heard.stop_after = heard.calls + 3;
	is_int(rag_use_generator(r, "endless"), RAG_OK, "an endless talker");
	go.token = hear;
	go.token_arg = &heard;
	go.max_tokens = 1000;
	is_int(rag_generate(&text, r, "x", &go), RAG_OK, "stopped by its callback");
	is_str(text, "Again and again,", "keeps its words");
	rag_text_free(text);
	buf_release(&heard.text);
}

static struct rag *endless_handle;

static void on_alarm(int sig)
{
	(void)sig;
	rag_cancel(endless_handle);
}

static void *cancel_soon(void *arg)
{
	usleep(20000);
	rag_cancel(arg);
	return NULL;
}

static void test_cancel_outside(void)
{
	struct rag_generate_opts o = RAG_GENERATE_OPTS_INIT;
	struct rag *r = open_store("", NULL);
	pthread_t t;
	char *text;

	is_int(rag_use_generator(r, "endless"), RAG_OK, "the endless talker");
	o.max_tokens = 1900;
	o.raw = 1;
	if (pthread_create(&t, NULL, cancel_soon, r))
		return;
	is_int(rag_generate(&text, r, "x", &o), RAG_OK, "stopped from another thread");
	pthread_join(t, NULL);
	ok(strlen(text) < 1900 * 4, "before its end");
	rag_text_free(text);
	endless_handle = r;
	signal(SIGALRM, on_alarm);
	ualarm(20000, 0);
	is_int(rag_generate(&text, r, "x", &o), RAG_OK, "stopped by a signal");
	ok(strlen(text) < 1900 * 4, "too");
	rag_text_free(text);
	rag_close(r);
}

/* Same words whatever the number of threads. */
static void test_threads(void)
{
	const char *texts[] = { "rollo was the leader", "rivers run to the sea" };
	float *v[3];
	size_t dim;
	char *text[3];
	bool good = true;

	for (int i = 0; i < 3; i++) {
		struct rag_opts o = opts("");
		struct rag_generate_opts go = RAG_GENERATE_OPTS_INIT;
		struct rag *r;

		o.threads = i + 1;
		o.embedder = "words";
		go.temperature = 1.5;
		go.seed = 7;
		go.max_tokens = 20;
		good &= !rag_open(&r, &o) && !rag_embed(&v[i], &dim, r, texts, 2) &&
			!rag_generate(&text[i], r, "Talk.", &go);
		rag_close(r);
		good &= !memcmp(v[0], v[i], 2 * dim * sizeof(float)) && !strcmp(text[0], text[i]);
	}
	ok(good, "one, two or three threads: the same bits");
	for (int i = 0; i < 3; i++) {
		rag_vectors_free(v[i]);
		rag_text_free(text[i]);
	}
}

/* ---- real models ----------------------------------------------------------------------------------------- */

static void test_real(void)
{
	static const char question[] = "Who was the leader of the Normans?";
	char path[600];
	struct rag_opts o = RAG_OPTS_INIT;
	struct rag_ask_opts ao = RAG_ASK_OPTS_INIT;
	struct rag_answer *a[2];
	struct rag_hits *h;
	struct rag *r;

	snprintf(path, sizeof(path), "%s/all-minilm-l6-v2/config.json", cache);
	if (access(path, R_OK)) {
		tap_skip(1, "all-minilm-l6-v2 is not in the cache");
		return;
	}
	o.store = in_dir("real");
	o.models = cache;
	o.create = 1;
	o.generator = "smollm2-135m-instruct";
	is_int(rag_open(&r, &o), RAG_OK, "a store with real models");
	is_int(add(r, "note:1", normans), RAG_OK, "a document");
	is_int(add(r, "note:2", elephants), RAG_OK, "another");
	is_int(rag_search(&h, r, question, NULL), RAG_OK, "a search");
	ok(h->n == 2 && !strcmp(h->hit[0]->uri, "note:1") && h->hit[0]->cosine > 0.5f && h->hit[1]->cosine < 0.3f,
	   "finds the one");
	rag_hits_free(h);
	snprintf(path, sizeof(path), "%s/%s/model.gguf", cache, o.generator);
	if (access(path, R_OK)) {
		tap_skip(1, "smollm2-135m-instruct is not in the cache");
	} else {
		for (int i = 0; i < 2; i++) {
			o.threads = i + 1;
			rag_close(r);
			is_int(rag_open(&r, &o), RAG_OK, "again");
			ao.max_tokens = 12;
			is_int(rag_ask(&a[i], r, NULL, question, &ao), RAG_OK, "a question");
		}
		ok(a[0]->answer_tokens == 12 && a[0]->cut && strlen(a[0]->text) > 12 && a[0]->n_passages == 1 &&
		   a[0]->prompt_tokens > 60, "is answered from the one");
		is_str(a[1]->text, a[0]->text, "in the same words by two threads as by one");
		rag_answer_free(a[0]);
		rag_answer_free(a[1]);
	}
	rag_close(r);
}

int main(void)
{
	struct rag *r;

	if (!ok(rag_setup(), "models"))
		return 99;
	r = open_store("main", "words");
	if (ok(r && !add(r, "note:1", normans) && !add(r, "note:2", elephants), "documents")) {
		test_older(r);
		test_ask(r);
		test_chat(r);
		test_generator(r);
		test_cancel(r);
		test_cancel_outside();
		test_threads();
	}
	rag_close(r);
	test_real();
	return rag_teardown();
}
