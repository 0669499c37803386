/* BM25 over the store's words against a plain twin that counts everything itself. */
#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

#include "index/analyze.h"
#include "index/store_impl.h"
#include "index/words.h"

#include <math.h>

static char dir[128];
static struct store *s;
static struct store_writer *w;

static void begin(void)
{
	snprintf(dir, sizeof(dir), "%s", tmp_dir());
	is_int(open_pair(&s, &w, dir, 0), RAG_OK, "a store");
}

static void end(void)
{
	is_int(store_verify(s, print_line, NULL), RAG_OK, "verify is content");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

/* One chunk. */
static struct stage *stage_one(const char *uri, const char *title, const char *heading, const char *text)
{
	struct stage_doc sd = { .uri = uri, .title = title, .context = title, .type = "text/plain" };
	struct stage_chunk c = { 0, strlen(text), heading, 0, 0 };
	struct stage *st;

	if (stage_begin(&st, w, &sd) || stage_text(st, text, strlen(text)) || stage_chunks(st, &c, 1))
		abort();
	return st;
}

static int put_one(const char *uri, const char *title, const char *heading, const char *text)
{
	struct stage *st = stage_one(uri, title, heading, text);
	struct stage_result r;
	int rc = store_publish(&r, w, &st, 1);

	stage_free(st);
	return rc;
}

static int one_uri(void *arg, const struct store_doc *d)
{
	snprintf(arg, 64, "%s", d->uri);
	return 1;
}

/* URIs of the best hits, joined by spaces. */
static const char *find(const char *text, size_t k)
{
	static char out[1024];
	struct words_hit hit[16];
	struct words_query *q;
	struct store_snap *v;
	struct store_chunk c;
	size_t n = 0, len = 0;

	out[0] = 0;
	if (store_snap(&v, s))
		return "no snapshot";
	if (words_query_new(&q, v, text, strlen(text)) || words_search(hit, &n, q, k, NULL))
		return err_msg();
	for (size_t i = 0; i < n; i++) {
		char uri[64] = "?";

		if (!store_chunk(&c, v, hit[i].id))
			store_content_docs(v, c.content, one_uri, uri);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i ? " " : "", uri);
	}
	words_query_free(q);
	store_snap_end(v);
	return out;
}

static void test_finding(void)
{
	begin();
	is_str(find("anything", 9), "", "an empty store has no answer");
	put_one("a", "Running shoes", "", "The runner's guide to marathons in Berlin.");
	put_one("b", "", "Cooking > Pasta", "Boil water; it should not be cold. Add salt.");
	put_one("c", "Code", "", "call getHTTPResponse_code(url) and parse_xml, version 3.14 of 1,000.");
	put_one("d", "\xe6\x9d\xb1\xe4\xba\xac", "", "\xe6\x9d\xb1\xe4\xba\xac\xe3\x82\xbf\xe3\x83\xaf\xe3\x83\xbc Caf\xc3\xa9 na\xc3\xafve");
	put_one("e", "", "", "to be or not to be");
	put_one("f", "", "", "dnaS getS_gets");
	is_str(find("run", 9), "a", "a stem, in the title");
	is_str(find("PASTA", 9), "b", "a word of the heading path, in capitals");
	is_str(find("boiling salts", 9), "b", "other forms of words");
	is_str(find("response", 9), "c", "a part of an identifier");
	is_str(find("gethttpresponse_code", 9), "c", "the identifier itself");
	is_str(find("parse_xml", 9), "c", "another");
	is_str(find("3.14", 9), "c", "a number");
	is_str(find("1000", 9), "c", "a number without its comma");
	is_str(find("cafe", 9), "d", "without the accent");
	is_str(find("CAFE\xcc\x81 NAIVE", 9), "d", "in capitals, its accent apart");
	is_str(find("\xe4\xba\xac\xe3\x82\xbf", 9), "d", "a pair of characters");
	is_str(find("\xe6\x9d\xb1", 9), "d", "one character alone");
	is_str(find("not to be", 9), "e b a", "a question of stop words alone");
	is_str(find("to be or not salt", 9), "b", "stop words do not count beside a word");
	is_str(find("marat*", 9), "a", "a prefix");
	is_str(find("marathons* (boil*)", 9), "a b", "prefixes that are longer than the stem, or in brackets");
	is_str(find("zzz* 2*3 *", 9), "", "a prefix of nothing, and stars that are no prefixes");
	is_str(find("dna", 9), "f", "an identifier whose stem is its first part's");
	is_str(find("\"guide to marathons\"", 9), "a", "a phrase");
	is_str(find("", 9), "", "nothing is asked");
	is_str(find("\xff\xfe\"", 9), "", "rubbish");
	end();
}

static void test_phrases(void)
{
	begin();
	put_one("far", "", "", "new ideas in york are old");
	put_one("near", "", "", "old ideas in new york are");
	put_one("split", "new", "", "york ideas in old are");
	is_str(find("\"new york\" ideas", 9), "near far split", "a phrase counts beside its words, and never spans fields");
	is_str(find("\xe2\x80\x9cin new york\xe2\x80\x9d", 1), "near", "in other quotes, with a stop word");
	is_str(find("\"new york", 9), "far near split", "a quote that does not close is none");
	end();
}

/* ---- against the twin ------------------------------------------------------------ */

#define DOCS 300
#define VOCABULARY 60

struct twin {
	uint64_t id;		/* chunk */
	uint32_t tf[VOCABULARY], len;
	bool gone;
};

static struct twin twin[DOCS];

static unsigned next_random(unsigned *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

/* Words that no stemmer touches, the lower numbers more frequent. */
static char *twin_text(struct twin *t, unsigned *x)
{
	size_t n = 1 + next_random(x) % 80, len = 0;
	char *text = malloc(n * 8 + 1);

	memset(t->tf, 0, sizeof(t->tf));
	t->len = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		unsigned word = next_random(x) % (1 + next_random(x) % VOCABULARY);

		t->tf[word]++;
		len += (size_t)sprintf(text + len, "w%uq ", word + 10);
	}
	return text;
}

static float twin_score(const struct twin *t, const unsigned *words, size_t n)
{
	double N = 0, total = 0, sum = 0;

	for (size_t i = 0; i < DOCS; i++) {
		N += !twin[i].gone;
		total += twin[i].gone ? 0 : twin[i].len;
	}
	for (size_t j = 0; j < n; j++) {
		double df = 0, tf = t->tf[words[j]];

		for (size_t i = 0; i < DOCS; i++)
			df += !twin[i].gone && twin[i].tf[words[j]];
		sum += log(1 + (N - df + .5) / (df + .5)) * tf /
		       (tf + 1.2 * (1 - .75 + .75 * t->len / (total / N)));
	}
	return (float)sum;
}

/* All chunks for one question: hits against scores, scores against the twin. */
static void compare(const char *name, bool bits, float *keep)
{
	static const unsigned words[] = { 0, 3, 7, 20, 41, 59 };
	struct words_hit hit[DOCS + 1];
	uint64_t ids[DOCS];
	float scores[DOCS];
	char text[128] = "";
	struct words_query *q;
	struct store_snap *v;
	size_t n = 0, len = 0, want = 0;
	int wrong = 0, differ = 0;

	for (size_t i = 0; i < 6; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "w%uq ", words[i] + 10);
	for (size_t i = 0; i < DOCS; i++)
		ids[i] = twin[i].id;
	if (store_snap(&v, s) || words_query_new(&q, v, text, len) ||
	    words_search(hit, &n, q, DOCS + 1, NULL) || words_scores(scores, q, ids, DOCS))
		abort();
	for (size_t i = 0; i < DOCS; i++) {
		float should = twin[i].gone ? 0 : twin_score(&twin[i], words, 6);
		size_t j = 0;

		want += should > 0;
		wrong += fabsf(scores[i] - should) > 1e-5f * (1 + should);
		while (j < n && hit[j].id != ids[i])
			j++;
		wrong += j < n ? hit[j].score != scores[i] : scores[i] != 0;
		differ += bits && scores[i] != keep[i];
		keep[i] = scores[i];
	}
	for (size_t i = 1; i < n; i++)
		wrong += hit[i - 1].score < hit[i].score ||
			 (hit[i - 1].score == hit[i].score && hit[i - 1].id > hit[i].id);
	ok(!wrong && n == want, "%s: %zu hits are the twin's, in order, and scores of given chunks are the same",
	   name, n);
	ok(!differ, "%s: to the bit as before", name);
	words_query_free(q);
	store_snap_end(v);
}

static void publish_twins(size_t from, size_t to, char **text)
{
	struct stage *st[DOCS];
	struct stage_result r[DOCS];
	struct store_snap *v;
	struct store_range range;
	struct store_doc d;
	char uri[32];

	for (size_t i = from; i < to; i++) {
		snprintf(uri, sizeof(uri), "twin%zu", i);
		st[i] = stage_one(uri, "", "", text[i]);
	}
	if (store_publish(r, w, st + from, to - from) || store_snap(&v, s))
		abort();
	for (size_t i = from; i < to; i++) {
		snprintf(uri, sizeof(uri), "twin%zu", i);
		if (store_doc_by_uri(&d, v, uri) || store_content_range(&range, v, d.content))
			abort();
		twin[i].id = range.first;
		twin[i].gone = false;
		stage_free(st[i]);
	}
	store_snap_end(v);
}

static void forget_twins(size_t from, size_t to)
{
	uint64_t ids[DOCS];
	struct store_snap *v;
	struct store_doc d;
	char uri[32];

	if (store_snap(&v, s))
		abort();
	for (size_t i = from; i < to; i++) {
		snprintf(uri, sizeof(uri), "twin%zu", i);
		if (store_doc_by_uri(&d, v, uri))
			abort();
		ids[i - from] = d.id;
		twin[i].gone = true;
	}
	store_snap_end(v);
	if (store_forget(w, ids, to - from))
		abort();
}

static int count_block(void *arg, const struct wblock *b)
{
	(void)b;
	++*(int *)arg;
	return 0;
}

static int blocks(void)
{
	struct store_snap *v;
	int n = 0;

	if (store_snap(&v, s) || store_wblocks(v, count_block, &n))
		abort();
	store_snap_end(v);
	return n;
}

static void test_twin(void)
{
	static float bits[DOCS];
	char *text[DOCS];
	unsigned x = 5;

	begin();
	for (size_t i = 0; i < DOCS; i++) {
		text[i] = twin_text(&twin[i], &x);
		twin[i].gone = true;
	}
	for (size_t i = 0; i < DOCS / 3; i++)
		publish_twins(i, i + 1, text);
	ok(blocks() < 9, "one by one, they lie in %d blocks", blocks());
	publish_twins(DOCS / 3, DOCS, text);
	compare("all", false, bits);
	/* the same texts under other ids, in other blocks: same bits */
	for (size_t i = 0; i < DOCS; i += 2) {
		forget_twins(i, i + 1);
		publish_twins(i, i + 1, text);
	}
	compare("half of them anew", true, bits);
	forget_twins(20, 41);
	compare("some forgotten", false, bits);
	forget_twins(60, 290);
	compare("most forgotten", false, bits);
	publish_twins(60, 290, text);
	publish_twins(20, 41, text);
	compare("all again", false, bits);
	for (size_t i = 0; i < DOCS; i++)
		free(text[i]);
	end();
}

static void test_allowed(void)
{
	struct words_hit hit[16];
	struct ranges r = RANGES_INIT;
	struct words_query *q;
	struct store_snap *v;
	char uri[16];
	size_t n;

	begin();
	for (int i = 1; i <= 9; i++) {
		snprintf(uri, sizeof(uri), "%d", i);
		put_one(uri, uri, "", "same words");
	}
	if (store_snap(&v, s) || words_query_new(&q, v, "words", 5))
		abort();
	ranges_add(&r, (struct store_range){ 7, 8 });
	ranges_add(&r, (struct store_range){ 2, 4 });
	ranges_add(&r, (struct store_range){ 100, 200 });
	ranges_settle(&r);
	is_int(words_search(hit, &n, q, 16, &r), RAG_OK, "a search among allowed chunks");
	ok(n == 3 && hit[0].id == 2 && hit[1].id == 3 && hit[2].id == 7, "finds those, equal ones by id");
	is_int(words_search(hit, &n, q, 2, NULL), RAG_OK, "the best two of nine");
	ok(n == 2 && hit[0].id == 1 && hit[1].id == 2, "are those of lowest id");
	r.n = 0;
	words_search(hit, &n, q, 16, &r);
	is_int((long long)n, 0, "nothing is allowed");
	ranges_release(&r);
	words_query_free(q);
	store_snap_end(v);
	end();
}

static void test_terms(void)
{
	struct words_query *q;
	struct words_term *t;
	struct words_hit hit[4];
	struct store_snap *v;
	float sum = 0, idf, least;
	size_t n, hits;

	begin();
	put_one("a", "", "", "the red fox and the red hen, foxes");
	put_one("b", "", "", "a red car");
	if (store_snap(&v, s) || words_query_new(&q, v, "the red \"red fox\" fo*", 20) ||
	    words_query_add(q, "hen", 3, .2f) || words_search(hit, &hits, q, 4, NULL))
		abort();
	is_int(words_terms(&t, &n, q, hit[0].id), RAG_OK, "terms");
	is_int((long long)n, 6, "of the question and of what was added");
	for (size_t i = 0; i < n; i++) {
		sum += t[i].score;
		if (t[i].kind == WORDS_STOP)
			ok(!strcmp(t[i].text, "the") && t[i].tf == 2 && t[i].score == 0, "a stop word gives nothing");
		if (t[i].kind == WORDS_PHRASE)
			ok(!strcmp(t[i].text, "red fox") && t[i].tf == 1 && t[i].df == 1, "the phrase occurs once");
		if (t[i].kind == WORDS_PREFIX)
			ok(!strcmp(t[i].text, "fo*") && t[i].tf == 2 && t[i].df == 1, "the prefix, twice");
		if (t[i].kind == WORDS_WORD && !strcmp(t[i].text, "red"))
			ok(t[i].tf == 2 && t[i].df == 2 && t[i].weight == 2, "red, asked for twice");
		if (t[i].kind == WORDS_WORD && !strcmp(t[i].text, "hen"))
			ok(t[i].weight == .2f && t[i].tf == 1, "what was added weighs less");
	}
	ok(fabsf(sum - hit[0].score) < 1e-6f, "their parts are the score");
	mem_free(t);
	is_int(words_terms(&t, &n, q, 999), RAG_OK, "of a chunk that is none");
	ok(n == 6 && t[0].tf == 0 && t[0].score == 0, "nothing");
	mem_free(t);
	words_idf(&least, q, "reds", 4);
	words_idf(&idf, q, "hens", 4);
	ok(least > 0 && idf > least, "the rarer word has the larger idf");
	words_idf(&least, q, "unheard", 7);
	ok(least > idf, "an unknown one the largest");
	words_query_free(q);
	store_snap_end(v);
	end();
}

/* ---- stores of before, settings, large documents -------------------------------------- */

static int forget_words_txn(struct tx *t, void *arg)
{
	uint8_t key[5] = { 'w', 'o', 'r', 'd', 's' };
	int rc;

	t->st.format = 1;
	rc = blocks_drop_db(t, DB_WORDS, t->st.generation);

	(void)arg;
	if (!rc)
		rc = blocks_drop_db(t, DB_WORDS_HIDDEN, t->st.generation);
	return rc ? rc : tx_del(t, DB_META, key, sizeof(key));
}

static void test_older_store(void)
{
	struct store_words set;
	struct words_query *q;
	struct store_snap *v;
	char *text = text_make(3000000, 4);
	struct text_doc large = { "large", "L", "text/plain", "", text, 3000000, 0 };
	struct stage_result r;
	struct store_status st;

	begin();
	put_one("a", "", "", "written before there were words");
	put_doc(&r, w, &large);
	put_one("b", "", "", "and this one, which is gone");
	store_forget(w, &(uint64_t){ 3 }, 1);
	is_int(store_txn(s, forget_words_txn, NULL), RAG_OK, "a store as older programs made it");
	store_write_end(w);
	store_snap(&v, s);
	is_int(store_words(&set, v), RAG_ENOENT, "has no words");
	is_int(words_query_new(&q, v, "before", 6), RAG_ENOENT, "and says so");
	ok(strstr(err_msg(), "no index of its words yet") != NULL, "in plain words");
	store_snap_end(v);
	is_int(store_verify(s, print_line, NULL), RAG_OK, "it is a whole store");
	store_status(&st, s);
	is_int(st.format, 1, "of format 1");
	store_status_release(&st);
	is_int(store_write_begin(&w, s), RAG_OK, "the next writer adds them");
	store_status(&st, s);
	is_int(st.format, STORE_FORMAT, "and raises the format, so that older programs leave it alone");
	store_status_release(&st);
	is_str(find("before", 9), "a", "and they are found");
	is_str(find("4-7923", 9), "large", "in large documents, too");
	is_str(find("gone", 9), "", "but not what is gone");
	free(text);
	end();
}

static int older_txn(struct tx *t, void *arg)
{
	struct words_state ws;
	int rc = words_state_get(&ws, t);

	(void)arg;
	ws.version = 0;
	return rc ? rc : words_state_put(t, &ws);
}

/* Words as another version of the analysis made them. */
static void test_older_analysis(void)
{
	begin();
	put_one("a", "", "", "some words");
	is_int(store_txn(s, older_txn, NULL), RAG_OK, "words of an older analysis");
	store_write_end(w);
	is_str(find("words", 9), "a", "answer");
	is_int(store_write_begin(&w, s), RAG_OK, "until the next writer indexes them anew");
	is_str(find("words", 9), "a", "and after");
	put_one("b", "", "", "more words");
	is_str(find("words", 9), "a b", "with new ones");
	end();
}

static void test_settings(void)
{
	struct store_words set = STORE_WORDS_INIT, got;
	struct store_snap *v;

	begin();
	put_one("a", "", "", "die H\xc3\xa4user der Stadt");
	is_str(find("Haus", 9), "", "an English stemmer knows no German plural");
	strcpy(set.language, "german");
	is_int(store_set_words(w, &set), RAG_OK, "German words");
	is_str(find("Haus", 9), "a", "are indexed anew, and found");
	put_one("b", "", "", "viele H\xc3\xa4user");
	is_str(find("HAUS", 9), "b a", "new ones, too");
	strcpy(set.language, "klingon");
	is_int(store_set_words(w, &set), RAG_EUNSUP, "no such language");
	ok(strstr(err_msg(), "klingon") && strstr(err_msg(), "german"), "the message names it, and those there are");
	strcpy(set.language, "none");
	set.k1 = -1;
	is_int(store_set_words(w, &set), RAG_EINVAL, "a k1 below 0");
	set.k1 = 2;
	set.b = NAN;
	is_int(store_set_words(w, &set), RAG_EINVAL, "a b that is no number");
	set.b = 0;
	is_int(store_set_words(w, &set), RAG_OK, "no stemmer");
	is_str(find("haus", 9), "", "finds words as they are");
	is_str(find("hauser", 9), "a b", "folded all the same");
	store_snap(&v, s);
	is_int(store_words(&got, v), RAG_OK, "the settings");
	ok(!strcmp(got.language, "none") && got.stop && got.k1 == 2 && got.b == 0, "are the store's");
	store_snap_end(v);
	end();
}

/* Staged on disk: unseen until it is published, whole then, and gone after. */
static void test_large(void)
{
	char *text = text_make(5000000, 9);
	struct text_doc d = { "large", "L", "text/plain", "", text, 5000000, 0 };
	struct stage *st;
	struct stage_result r;
	bool have;

	begin();
	put_one("small", "", "", "9-7928 and more");
	is_int(stage_doc_of(&st, w, &d), RAG_OK, "a large document, staged");
	is_int(stage_have(&have, st), RAG_OK, "closed");
	is_int(stage_spill(st), RAG_OK, "on disk");
	is_int(store_verify(s, print_line, NULL), RAG_OK, "verify is content");
	is_str(find("9-7928", 9), "small", "is not seen");
	is_int(store_publish(&r, w, &st, 1), RAG_OK, "published");
	stage_free(st);
	is_str(find("9-7928", 9), "small large", "it is");
	is_int(store_verify(s, print_line, NULL), RAG_OK, "verify is content");
	is_int(stage_doc_of(&st, w, &(struct text_doc){ "other", "", "text/plain", "", text + 1, 4000000, 0 }), RAG_OK, "another");
	is_int(stage_spill(st), RAG_OK, "on disk");
	stage_free(st);		/* never published */
	is_int(store_forget(w, &r.doc, 1), RAG_OK, "the first forgotten");
	is_str(find("9-7928", 9), "small", "neither is found");
	free(text);
	end();
}

/* A question of 100 kB, and one word of it. */
static void test_long_question(void)
{
	char *text = text_make(100000, 1), *word = malloc(100001);

	memset(word, 'x', 100000);
	word[100000] = 0;
	begin();
	put_one("a", "", "", "1-7920 in a text");
	put_one("b", "", "", word);
	is_str(find(text, 9), "a", "a question of 100 kB");
	is_str(find(word, 9), "b", "a word of 100 kB");
	memset(text, '"', 99999);
	is_str(find(text, 9), "", "quotes alone");
	free(text);
	free(word);
	end();
}

int main(void)
{
	test_finding();
	test_phrases();
	test_twin();
	test_allowed();
	test_terms();
	test_older_store();
	test_older_analysis();
	test_settings();
	test_large();
	test_long_question();
	return tap_done();
}
