#include "config.h"
#include "generator/prompt.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "generator/answer.h"
#include "generator/template.h"
#include "model/tok.h"

#define MAX_TURNS 4		/* older ones are about something else by now */
#define TURNS_SHARE 4		/* history gets at most a quarter of the budget */

/* Chosen by measuring: see generator/README.md. */
static const char instruction[] =
	"You answer questions from passages. Reply with the short exact answer only, copied from the "
	"passages, without explanation.";
static const char before_question[] = "Question:";
static const char behind_question[] = "\nShort answer:";

#define MAX_NAME 200		/* bytes of a title or heading: a longer one tells no more */

struct list {
	int32_t *id;	/* (len) owned */
	size_t len, cap;
};

static void list_release(struct list *l)
{
	mem_free(l->id);
	*l = (struct list){ NULL, 0, 0 };
}

static int list_add(struct list *l, const int32_t *id, size_t n)
{
	if (n > l->cap - l->len) {
		size_t cap = l->cap * 2 > l->len + n ? l->cap * 2 : l->len + n;
		int32_t *p = mem_realloc(l->id, cap, sizeof(*p));

		if (!p)
			return RAG_ENOMEM;
		l->id = p;
		l->cap = cap;
	}
	if (n)
		memcpy(l->id + l->len, id, n * sizeof(*id));
	l->len += n;
	return RAG_OK;
}

/* Our own text: control strings in it are control tokens. */
static int add_own(struct list *l, const struct tok *t, const char *s)
{
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	int rc = tok_encode(&ids, t, s, strlen(s), TOK_PARSE);

	if (!rc)
		rc = list_add(l, ids.id, ids.len);
	tok_ids_release(&ids);
	return rc;
}

/* Foreign text.  A control token in it is taken apart: its first character,
 * then the rest of its span; a character that alone is one (unknown) is dropped. */
static int add_foreign(struct list *l, const struct tok *t, const char *s, size_t n)
{
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	int rc = tok_encode(&ids, t, s, n, 0);

	for (size_t i = 0; !rc && i < ids.len; i++) {
		size_t from = ids.start[i], len = ids.end[i] - from, first;

		if (!tok_is_control(t, ids.id[i])) {
			rc = list_add(l, &ids.id[i], 1);
			continue;
		}
		if (!len)
			continue;
		utf8_next(s + from, len, &first);
		if (first >= len)
			continue;
		rc = add_foreign(l, t, s + from, first);
		if (!rc)
			rc = add_foreign(l, t, s + from + first, len - first);
	}
	tok_ids_release(&ids);
	return rc;
}

static bool all_plain(const struct list *l, const struct tok *t)
{
	for (size_t i = 0; i < l->len; i++)
		if (tok_is_control(t, l->id[i]))
			return false;
	return true;
}

/* Appends foreign text behind what l holds and proves the invariant; a space
 * goes in front where it follows a word of ours, as tokenizers like it. */
static int add_text(struct list *l, const struct tok *t, bool space, const char *s, size_t n)
{
	struct list part = { NULL, 0, 0 };
	struct buf b = BUF_INIT;
	int rc = space ? buf_addc(&b, ' ') : RAG_OK;

	if (!rc)
		rc = buf_add(&b, s, n);
	if (!rc)
		rc = add_foreign(&part, t, buf_str(&b), b.len);
	if (!rc) {
		assert(all_plain(&part, t));
		rc = list_add(l, part.id, part.len);
	}
	list_release(&part);
	buf_release(&b);
	return rc;
}

static int add_name(struct list *l, const struct tok *t, const char *name)
{
	size_t n = strlen(name);

	return add_text(l, t, false, name, n > MAX_NAME ? utf8_floor(name, n, MAX_NAME) : n);
}

/* A passage as the model sees it: title, heading, the first `len` bytes of its text. */
static int add_passage(struct list *l, const struct tok *t, const struct passage *p, size_t len)
{
	int rc = RAG_OK;

	if (p->title[0])
		rc = add_name(l, t, p->title);
	if (!rc && p->title[0] && p->heading[0])
		rc = add_own(l, t, " - ");
	if (!rc && p->heading[0])
		rc = add_name(l, t, p->heading);
	if (!rc && (p->title[0] || p->heading[0]))
		rc = add_own(l, t, "\n");
	if (!rc)
		rc = add_text(l, t, false, p->text, len);
	if (!rc)
		rc = add_own(l, t, "\n\n");
	return rc;
}

static int add_turn(struct list *l, const struct chat_format *f, const struct tok *t,
		    const struct turn *turn)
{
	int rc = add_own(l, t, f->open_user);

	if (!rc)
		rc = add_text(l, t, false, turn->question, strlen(turn->question));
	if (!rc)
		rc = add_own(l, t, f->close);
	if (!rc)
		rc = add_own(l, t, f->open_assistant);
	if (!rc)
		rc = add_text(l, t, false, turn->answer, strlen(turn->answer));
	if (!rc)
		rc = add_own(l, t, f->close);
	return rc;
}

/* The newest turns that fit into `room` tokens, oldest of them first. */
static int add_turns(struct list *l, size_t *taken, const struct chat_format *f,
		     const struct tok *t, const struct turn *turns, size_t n, size_t room)
{
	struct list part = { NULL, 0, 0 };
	size_t k = 0, sum = 0;
	int rc = RAG_OK;

	for (; k < n && k < MAX_TURNS; k++) {
		part.len = 0;
		rc = add_turn(&part, f, t, &turns[n - 1 - k]);
		if (rc || part.len > room - sum)
			break;
		sum += part.len;
	}
	list_release(&part);
	for (size_t i = n - k; !rc && i < n; i++)
		rc = add_turn(l, f, t, &turns[i]);
	*taken = k;
	return rc;
}

/* Appends as many whole sentences of p as fit; *len is 0 when not one does. */
static int add_trimmed(struct list *l, size_t *len, const struct tok *t,
		       const struct passage *p, size_t room)
{
	struct text_spans sentences = { NULL, 0, 0 };
	struct list part = { NULL, 0, 0 };
	size_t low = 0, high;
	int rc = text_sentences(&sentences, p->text, p->len);

	*len = 0;
	high = rc ? 0 : sentences.n;
	/* The first `low` sentences fit, the first `high` don't. */
	while (!rc && low + 1 < high) {
		size_t mid = low + (high - low) / 2;

		part.len = 0;
		rc = add_passage(&part, t, p, sentences.v[mid - 1].end);
		if (part.len <= room)
			low = mid;
		else
			high = mid;
	}
	if (!rc && low) {
		rc = add_passage(l, t, p, sentences.v[low - 1].end);
		*len = sentences.v[low - 1].end;
	}
	list_release(&part);
	text_spans_release(&sentences);
	return rc;
}

static int add_passages(struct list *l, struct prompt *out, const struct tok *t,
			const struct passage *passages, size_t n, size_t room)
{
	struct list part = { NULL, 0, 0 };
	size_t start = l->len;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i++) {
		size_t left = room - (l->len - start);

		part.len = 0;
		rc = add_passage(&part, t, &passages[i], passages[i].len);
		if (rc)
			break;
		if (part.len <= left) {
			rc = list_add(l, part.id, part.len);
		} else if (out->trimmed == SIZE_MAX) {
			rc = add_trimmed(l, &out->trimmed_len, t, &passages[i], left);
			if (rc || !out->trimmed_len)
				continue;
			out->trimmed = i;
		} else {
			continue;
		}
		out->used[out->n_used++] = i;
	}
	list_release(&part);
	return rc;
}

static int add_system(struct list *l, const struct chat_format *f, const struct tok *t,
		      const char *message)
{
	int rc = add_own(l, t, f->open_system);

	if (!rc)
		rc = add_own(l, t, message);
	if (!rc)
		rc = add_own(l, t, f->close);
	return rc;
}

static int too_long(const char *what, size_t n, size_t budget, size_t ours)
{
	return err_set(RAG_ELIMIT, "%s has %zu tokens, the context holds %zu", what, n,
		       budget > ours ? budget - ours : 0);
}

int prompt_build(struct prompt *out, const struct chat_format *f, const struct tok *t,
		 const char *question, const struct passage *passages, size_t n_passages,
		 const struct turn *turns, size_t n_turns, size_t budget)
{
	struct list all = { NULL, 0, 0 }, open = { NULL, 0, 0 }, tail = { NULL, 0, 0 };
	size_t asked, ours, room;
	int rc;

	*out = (struct prompt){ .trimmed = SIZE_MAX };
	out->used = mem_calloc(n_passages, sizeof(*out->used));
	if (!out->used)
		return RAG_ENOMEM;
	rc = add_system(&all, f, t, instruction);
	if (!rc)
		rc = add_own(&open, t, f->open_user);
	if (!rc)
		rc = add_own(&tail, t, before_question);
	asked = tail.len;
	if (!rc)
		rc = add_text(&tail, t, true, question, strlen(question));
	asked = tail.len - asked;
	if (!rc)
		rc = add_own(&tail, t, behind_question);
	if (!rc)
		rc = add_own(&tail, t, f->close);
	if (!rc)
		rc = add_own(&tail, t, f->open_assistant);
	if (rc)
		goto fail;

	ours = all.len + open.len + tail.len - asked;
	if (ours > budget || asked > budget - ours) {
		rc = too_long("question", asked, budget, ours);
		goto fail;
	}
	room = budget - ours - asked;
	rc = add_turns(&all, &out->n_turns, f, t, turns, n_turns, room / TURNS_SHARE);
	if (!rc)
		rc = list_add(&all, open.id, open.len);
	if (!rc)
		rc = add_passages(&all, out, t, passages, n_passages, budget - all.len - tail.len);
	if (!rc && n_passages && !out->n_used)
		rc = too_long("question", asked, budget, ours);
	if (!rc)
		rc = list_add(&all, tail.id, tail.len);
	if (rc)
		goto fail;
	list_release(&open);
	list_release(&tail);
	out->id = all.id;
	out->len = all.len;
	return RAG_OK;
fail:
	list_release(&all);
	list_release(&open);
	list_release(&tail);
	prompt_release(out);
	return rc;
}

int prompt_plain(struct prompt *out, const struct chat_format *f, const struct tok *t,
		 const char *text, size_t budget)
{
	struct list all = { NULL, 0, 0 };
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	int rc;

	*out = (struct prompt){ .trimmed = SIZE_MAX };
	if (f) {
		rc = add_system(&all, f, t, f->system);
		if (!rc)
			rc = add_own(&all, t, f->open_user);
		if (!rc)
			rc = add_text(&all, t, false, text, strlen(text));
		if (!rc)
			rc = add_own(&all, t, f->close);
		if (!rc)
			rc = add_own(&all, t, f->open_assistant);
	} else {
		rc = tok_encode(&ids, t, text, strlen(text), TOK_ADD | TOK_PARSE);
		if (!rc)
			rc = list_add(&all, ids.id, ids.len);
		tok_ids_release(&ids);
	}
	if (!rc && all.len > budget)
		rc = too_long("prompt", all.len, budget, 0);
	if (rc) {
		list_release(&all);
		return rc;
	}
	out->id = all.id;
	out->len = all.len;
	return RAG_OK;
}

void prompt_release(struct prompt *p)
{
	mem_free(p->id);
	mem_free(p->used);
	*p = (struct prompt){ .trimmed = SIZE_MAX };
}
