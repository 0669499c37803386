#include "config.h"
#include "generator/evidence.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "generator/answer.h"

#define RUN_MAX 3		/* sentences: more is a paragraph, not a citation */
#define RUN_COST 0.75f		/* a factor for each further sentence: what is scattered is hardly support */
#define NUMBER_WEIGHT 1.5f
#define NAME_WEIGHT 1.3f
#define TITLED 0.9f		/* of a question's word's weight is due when only title or heading has it */
#define UNASKED 0.4f		/* of the strength is due without a word of the question */
#define ECHO 0.5f		/* to repeat an open question is no answer to it */
#define BARE 0.8f		/* "yes" adds no words: the question's alone must do */
#define ABSENT 0.6f		/* a plain word that no passage has may be another word for one that is there */
#define RIVAL 0.75f		/* a further passage must be this near the best one */

/* Words that carry no content, stemmed or not; sorted. */
static const char *const stop_words[] = {
	"a", "about", "according", "after", "against", "all", "also", "am", "among", "an", "and",
	"any", "are", "around", "as", "at", "be", "became", "because", "become", "been",
	"before", "being", "between", "both", "but", "by", "called", "came", "can", "come",
	"could", "did", "do", "does", "doing", "during", "each", "for", "from", "gave", "get",
	"give", "given", "go", "got", "had", "has", "have", "having", "he", "her", "here",
	"hers", "him", "his", "how", "however", "i", "if", "in", "into", "is", "it", "its",
	"itself", "just", "known", "like", "made", "make", "many", "may", "me", "might", "more",
	"most", "much", "must", "my", "named", "no", "nor", "not", "of", "off", "on", "only",
	"onto", "or", "other", "our", "out", "over", "own", "per", "shall", "she", "should",
	"since", "so", "some", "such", "take", "taken", "than", "that", "the", "their", "them",
	"then", "there", "these", "they", "this", "those", "through", "till", "to", "too",
	"took", "under", "until", "up", "upon", "us", "very", "via", "was", "we", "well", "were",
	"what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why",
	"will", "with", "within", "without", "would", "yes", "you", "your",
};

static const char *const small_numbers[] = {
	"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
	"eleven", "twelve",
};

enum { STOP = 1, NUMBER = 2, NAME = 4 };

struct word {
	uint32_t term;
	uint8_t kind;
};

struct term {
	uint64_t hash;
	size_t key, key_len;	/* in terms.keys */
	uint32_t df;		/* sentences of the passages that hold it */
	uint32_t mark, named;	/* the last scope that held it in its text, in its title */
	uint8_t kind;		/* of any of its words in the answer or question */
	bool in_question;
	uint32_t in_answer;	/* number of the answer's sentence, from 1 */
};

struct terms {
	struct term *v;		/* (n) owned */
	size_t n, cap;
	uint32_t *slot;		/* (n_slots) owned: index + 1, 0 empty */
	size_t n_slots;
	struct buf keys, stem;
	struct text_stemmer *stemmer;
};

/* A text cut into sentences and words; words of sentence i: first[i] .. first[i + 1]. */
struct parsed {
	struct text_spans sentences;
	struct word *word;	/* (n) owned */
	size_t n, cap;
	size_t *first;		/* (sentences.n + 1) owned */
};

static void terms_release(struct terms *t)
{
	mem_free(t->v);
	mem_free(t->slot);
	buf_release(&t->keys);
	buf_release(&t->stem);
	text_stemmer_free(t->stemmer);
}

static uint64_t fnv(const char *s, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
	return h;
}

static int grow_slots(struct terms *t)
{
	size_t n = t->n_slots ? 2 * t->n_slots : 1024;
	uint32_t *slot = mem_calloc(n, sizeof(*slot));

	if (!slot)
		return RAG_ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		size_t at = t->v[i].hash & (n - 1);

		while (slot[at])
			at = (at + 1) & (n - 1);
		slot[at] = (uint32_t)i + 1;
	}
	mem_free(t->slot);
	t->slot = slot;
	t->n_slots = n;
	return RAG_OK;
}

/* The term of the key in t->stem, a new one if need be. */
static int intern(uint32_t *out, struct terms *t)
{
	uint64_t hash = fnv(buf_str(&t->stem), t->stem.len);
	size_t at;
	int rc;

	if (2 * t->n >= t->n_slots) {
		rc = grow_slots(t);
		if (rc)
			return rc;
	}
	for (at = hash & (t->n_slots - 1); t->slot[at]; at = (at + 1) & (t->n_slots - 1)) {
		struct term *e = &t->v[t->slot[at] - 1];

		if (e->hash == hash && e->key_len == t->stem.len
		    && !memcmp(t->keys.data + e->key, buf_str(&t->stem), e->key_len)) {
			*out = t->slot[at] - 1;
			return RAG_OK;
		}
	}
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 512;
		struct term *v = cap < UINT32_MAX ? mem_realloc(t->v, cap, sizeof(*v)) : NULL;

		if (!v)
			return err_set(RAG_ENOMEM, "out of memory");
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n] = (struct term){ .hash = hash, .key = t->keys.len, .key_len = t->stem.len };
	rc = buf_add(&t->keys, buf_str(&t->stem), t->stem.len);
	if (rc)
		return rc;
	*out = (uint32_t)t->n;
	t->slot[at] = (uint32_t)++t->n;
	return RAG_OK;
}

static bool is_stop(const char *s, size_t n)
{
	size_t low = 0, high = sizeof(stop_words) / sizeof(*stop_words);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strncmp(stop_words[mid], s, n);

		if (!c && stop_words[mid][n])
			c = 1;
		if (!c)
			return true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* Writes the word in small letters to t->stem and says what kind it is. */
static int lower(uint8_t *kind, struct terms *t, const char *s, size_t n, bool first)
{
	size_t letters = 0, capitals = 0, len;
	bool starts_big = false;
	int rc = RAG_OK;

	*kind = 0;
	buf_clear(&t->stem);
	for (size_t i = 0; !rc && i < n; i += len) {
		uint32_t c = utf8_next(s + i, n - i, &len);
		char out[4];

		if (c == UTF8_BAD)
			continue;
		if (utf8_is_number(c))
			*kind |= NUMBER;
		if (utf8_is_letter(c)) {
			letters++;
			capitals += utf8_is_upper(c);
			starts_big |= i == 0 && utf8_is_upper(c);
		}
		rc = buf_add(&t->stem, out, utf8_put(out, utf8_lower(c)));
	}
	/* "US" is no "us", and a capital inside a word is a name's wherever it stands. */
	if ((starts_big && !first) || capitals > starts_big)
		*kind |= NAME;
	if (!(capitals == letters && letters > 1) && is_stop(buf_str(&t->stem), t->stem.len))
		*kind = STOP;
	return rc;
}

/* "1,000" and "1000", "three" and "3" are the same. */
static void plain_number(struct terms *t)
{
	size_t k = 0;

	for (size_t i = 0; i < t->stem.len; i++)
		if (t->stem.data[i] != ',')
			t->stem.data[k++] = t->stem.data[i];
	t->stem.data[k] = '\0';
	t->stem.len = k;
}

static int add_word(struct parsed *p, struct terms *t, const char *s, size_t n, bool first)
{
	struct word w;
	int rc = lower(&w.kind, t, s, n, first);

	if (rc)
		return rc;
	if (w.kind & NUMBER) {
		plain_number(t);
	} else if (!(w.kind & STOP)) {
		buf_clear(&t->stem);
		rc = text_stem(&t->stem, t->stemmer, s, n);
		for (size_t i = 0; i < sizeof(small_numbers) / sizeof(*small_numbers); i++)
			if (!strcmp(buf_str(&t->stem), small_numbers[i])) {
				buf_clear(&t->stem);
				rc = buf_addf(&t->stem, "%zu", i);
			}
		if (is_stop(buf_str(&t->stem), t->stem.len) && !(w.kind & NAME))
			w.kind = STOP;
	}
	if (!rc)
		rc = intern(&w.term, t);
	if (rc)
		return rc;
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 256;
		struct word *v = mem_realloc(p->word, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		p->word = v;
		p->cap = cap;
	}
	p->word[p->n++] = w;
	return RAG_OK;
}

static void parsed_release(struct parsed *p)
{
	text_spans_release(&p->sentences);
	mem_free(p->word);
	mem_free(p->first);
}

/* p is zeroed. */
static int parse(struct parsed *p, struct terms *t, const char *s, size_t n)
{
	struct text_spans words = { NULL, 0, 0 };
	int rc = text_sentences(&p->sentences, s, n);

	if (rc)
		return rc;
	p->first = mem_calloc(p->sentences.n + 1, sizeof(*p->first));
	if (!p->first)
		return RAG_ENOMEM;
	for (size_t i = 0; !rc && i < p->sentences.n; i++) {
		const char *at = s + p->sentences.v[i].start;

		words.n = 0;
		rc = text_words(&words, at, p->sentences.v[i].end - p->sentences.v[i].start);
		for (size_t k = 0; !rc && k < words.n; k++)
			rc = add_word(p, t, at + words.v[k].start,
				      words.v[k].end - words.v[k].start, k == 0);
		p->first[i + 1] = p->n;
	}
	text_spans_release(&words);
	return rc;
}

/* What of a passage is compared: its text and, for the question's words, its title and heading. */
struct source {
	struct parsed text, title, heading;
};

/* All that one call knows. */
struct search {
	struct terms terms;
	struct parsed question, answer;
	struct source *source;	/* (n) owned */
	size_t n;
	size_t n_sentences;	/* of all passages */
	uint32_t stamp;
	float question_weight;
	bool open;		/* the question asks for what is not in it */
};

static float weight(const struct search *s, const struct term *e)
{
	float n = (float)s->n_sentences, df = (float)e->df;
	float idf = logf(1 + (n - df + .5f) / (df + .5f));

	if (e->kind & NUMBER)
		return NUMBER_WEIGHT * idf;
	if (e->kind & NAME)
		return NAME_WEIGHT * idf;
	return e->df ? idf : ABSENT * idf;
}

static void count(struct search *s, const struct parsed *p)
{
	for (size_t i = 0; i < p->sentences.n; i++) {
		s->n_sentences++;
		s->stamp++;
		for (size_t k = p->first[i]; k < p->first[i + 1]; k++) {
			struct term *e = &s->terms.v[p->word[k].term];

			e->kind |= p->word[k].kind;
			if (e->mark != s->stamp) {
				e->mark = s->stamp;
				e->df++;
			}
		}
	}
}

/* One of who, what, when ... among the first words ("in what year") and no
 * choice offered: then the answer is no part of the question. */
static int is_open(bool *out, const char *question)
{
	static const char *const ask[] = {
		"how", "what", "when", "where", "which", "who", "whom", "whose", "why",
	};
	const size_t first = 3;
	struct text_spans words = { NULL, 0, 0 };
	int rc = text_words(&words, question, strlen(question));

	*out = false;
	for (size_t i = 0; !rc && i < words.n; i++) {
		const char *s = question + words.v[i].start;
		size_t n = words.v[i].end - words.v[i].start;

		for (size_t k = 0; i < first && k < sizeof(ask) / sizeof(*ask); k++)
			if (strlen(ask[k]) == n && !strncasecmp(s, ask[k], n))
				*out = true;
		if (n == 2 && !strncasecmp(s, "or", 2)) {
			*out = false;
			break;
		}
	}
	text_spans_release(&words);
	return rc;
}

static int prepare(struct search *s, const char *question, const char *answer, size_t len,
		   const struct passage *passages, const size_t *which)
{
	int rc = text_stemmer_new(&s->terms.stemmer, "english");

	for (size_t i = 0; !rc && i < s->n; i++) {
		const struct passage *p = &passages[which[i]];

		rc = parse(&s->source[i].text, &s->terms, p->text, p->len);
		if (!rc)
			rc = parse(&s->source[i].title, &s->terms, p->title, strlen(p->title));
		if (!rc)
			rc = parse(&s->source[i].heading, &s->terms, p->heading, strlen(p->heading));
	}
	if (!rc)
		rc = parse(&s->question, &s->terms, question, strlen(question));
	if (!rc)
		rc = parse(&s->answer, &s->terms, answer, len);
	if (!rc)
		rc = is_open(&s->open, question);
	if (rc)
		return rc;
	for (size_t i = 0; i < s->n; i++)
		count(s, &s->source[i].text);
	for (size_t k = 0; k < s->question.n; k++) {
		struct term *e = &s->terms.v[s->question.word[k].term];

		if (s->question.word[k].kind & STOP || e->in_question)
			continue;
		e->in_question = true;
		e->kind |= s->question.word[k].kind;
		s->question_weight += weight(s, e);
	}
	return RAG_OK;
}

/* One sentence of the answer: its words and what they weigh. */
struct claim {
	uint32_t number;	/* from 1: term.in_answer */
	const struct word *word;
	size_t n;
	float added, repeated;	/* weight of what is not, and what is, in the question */
};

static struct claim claim_of(struct search *s, size_t sentence)
{
	size_t from = s->answer.first[sentence];
	struct claim c = { (uint32_t)sentence + 1, s->answer.word + from,
			   s->answer.first[sentence + 1] - from, 0, 0 };

	for (size_t k = 0; k < c.n; k++) {
		struct term *e = &s->terms.v[c.word[k].term];

		if (c.word[k].kind & STOP || e->in_answer == c.number)
			continue;
		e->in_answer = c.number;
		e->kind |= c.word[k].kind;
		*(e->in_question ? &c.repeated : &c.added) += weight(s, e);
	}
	return c;
}

/* What a run of sentences, with title and heading, holds so far. */
struct scope {
	float added, repeated, asked;
};

static void name_scope(struct search *s, struct scope *scope, const struct parsed *p)
{
	for (size_t k = 0; k < p->n; k++) {
		struct term *e = &s->terms.v[p->word[k].term];

		if (e->named == s->stamp)
			continue;
		e->named = s->stamp;
		if (e->in_question)
			scope->asked += TITLED * weight(s, e);
	}
}

static void widen_scope(struct search *s, struct scope *scope, const struct claim *c,
			const struct word *word, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		struct term *e = &s->terms.v[word[k].term];

		if (e->mark == s->stamp)
			continue;
		e->mark = s->stamp;
		if (e->in_answer == c->number)
			*(e->in_question ? &scope->repeated : &scope->added) += weight(s, e);
		if (e->in_question)
			scope->asked += (e->named == s->stamp ? 1 - TITLED : 1) * weight(s, e);
	}
}

static bool vetoed(const struct search *s, const struct claim *c)
{
	for (size_t k = 0; k < c->n; k++) {
		const struct term *e = &s->terms.v[c->word[k].term];

		if (c->word[k].kind & (NUMBER | NAME) && !e->in_question
		    && e->mark != s->stamp && e->named != s->stamp)
			return true;
	}
	return false;
}

static float strength_of(const struct search *s, const struct claim *c, const struct scope *scope)
{
	float said, asked = s->question_weight > 0 ? scope->asked / s->question_weight : 1;

	if (vetoed(s, c))
		return 0;
	if (c->added > 0)
		said = scope->added / c->added;
	else
		said = c->repeated > 0 ? scope->repeated / c->repeated : BARE;
	if (s->open && !(c->added > 0))
		said *= ECHO;
	return fminf(said * (UNASKED + (1 - UNASKED) * asked), 1);
}

/* The strongest run of one passage for a claim; strength 0: none. */
static struct support best_run(struct search *s, const struct claim *c, const struct source *src)
{
	const struct parsed *p = &src->text;
	struct support best = { .strength = 0 };

	for (size_t i = 0; i < p->sentences.n; i++) {
		struct scope scope = { 0, 0, 0 };
		float cost = 1;

		s->stamp++;
		name_scope(s, &scope, &src->title);
		name_scope(s, &scope, &src->heading);
		for (size_t k = i; k < p->sentences.n && k < i + RUN_MAX; k++, cost *= RUN_COST) {
			float strength;

			widen_scope(s, &scope, c, p->word + p->first[k], p->first[k + 1] - p->first[k]);
			strength = cost * strength_of(s, c, &scope);
			if (strength > best.strength) {
				best.strength = strength;
				best.start = p->sentences.v[i].start;
				best.end = p->sentences.v[k].end;
			}
		}
	}
	return best;
}

struct found {
	struct support *v;	/* (n) owned */
	size_t n, cap;
};

/* Keeps the supports of one sentence sorted, strongest and earliest first. */
static void insert(struct support *top, size_t *n, struct support x)
{
	size_t at = *n;

	while (at && top[at - 1].strength < x.strength)
		at--;
	if (at == EVIDENCE_MAX)
		return;
	if (*n < EVIDENCE_MAX)
		++*n;
	for (size_t i = *n - 1; i > at; i--)
		top[i] = top[i - 1];
	top[at] = x;
}

static int support_sentence(struct found *f, struct search *s, size_t sentence,
			    const size_t *which, float min)
{
	struct claim c = claim_of(s, sentence);
	struct support top[EVIDENCE_MAX];
	size_t n = 0;

	for (size_t i = 0; c.n && i < s->n; i++) {
		struct support x = best_run(s, &c, &s->source[i]);

		if (x.strength <= 0 || x.strength < min)
			continue;
		x.passage = which[i];
		x.sentence_start = s->answer.sentences.v[sentence].start;
		x.sentence_end = s->answer.sentences.v[sentence].end;
		insert(top, &n, x);
	}
	if (f->n + n > f->cap) {
		size_t cap = f->cap * 2 + EVIDENCE_MAX;
		struct support *v = mem_realloc(f->v, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	for (size_t i = 0; i < n && top[i].strength >= RIVAL * top[0].strength; i++)
		f->v[f->n++] = top[i];
	return RAG_OK;
}

int evidence_find(struct support **out, size_t *n, const char *question,
		  const char *answer, size_t answer_len, const struct passage *passages,
		  const size_t *which, size_t n_which, float min)
{
	struct search s = { .n = n_which };
	struct found f = { NULL, 0, 0 };
	int rc;

	*out = NULL;
	*n = 0;
	s.source = mem_calloc(n_which, sizeof(*s.source));
	if (!s.source)
		return RAG_ENOMEM;
	rc = prepare(&s, question, answer, answer_len, passages, which);
	for (size_t i = 0; !rc && i < s.answer.sentences.n; i++)
		rc = support_sentence(&f, &s, i, which, min);
	for (size_t i = 0; i < n_which; i++) {
		parsed_release(&s.source[i].text);
		parsed_release(&s.source[i].title);
		parsed_release(&s.source[i].heading);
	}
	mem_free(s.source);
	parsed_release(&s.question);
	parsed_release(&s.answer);
	terms_release(&s.terms);
	if (rc || !f.n) {
		mem_free(f.v);
		return rc;
	}
	*out = f.v;
	*n = f.n;
	return RAG_OK;
}
