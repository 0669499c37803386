/*
 * answers - what a generator's answers are worth, on questions with known ones.
 *
 * Each question is asked through rag_ask(), of the set's documents or of those
 * alone that hold its answer.  Where a log is given, each answer is appended
 * to it as soon as it is there, and a later run goes on behind them; the log
 * belongs to one way of asking, which its name and its first line say.
 *
 *	{"ragstone": VERSION, "asked": "how"}
 *	{"id", "question", "answer", "abstained", "evidence": [text, ...],
 *	 "documents": [URI, ...], "seconds"}	or {"id", "question", "error"}
 *
 * A last line that was cut by a crash is dropped.
 */
#ifndef RAG_EVAL_ANSWERS_H
#define RAG_EVAL_ANSWERS_H

#include "src/eval/collection.h"
#include "src/eval/squad.h"
#include "src/eval/stats.h"

struct answers_opts {
	const char *set;		/* its name */
	const char *log;		/* file; NULL: none is kept */
	const char *asked;		/* all that answers depend on, in words */
	struct rag_ask_opts ask;
	bool gold;			/* of the relevant documents alone */
	size_t most;			/* questions, by a hash of their ids; 0: all */
	rag_progress_fn *progress;	/* stage "answer", in questions; may be NULL */
	void *progress_arg;
};

struct answered {		/* a question, asked */
	size_t query;		/* its number in the set */
	char *answer, *error;	/* owned; NULL: none */
	bool answerable, abstained;
	bool supported;		/* a citation holds a wanted answer */
	bool found;		/* a relevant document is among the passages */
	struct squad score;
	double seconds;
};

enum answers_figure {
	EXACT, F1, CONTAINS, SUPPORTED, FOUND,	/* means over the answerable questions */
	ABSTENTION_PRECISION,			/* of those abstained: nothing answers them */
	ABSTENTION_RECALL,			/* of those that nothing answers: abstained */
	N_FIGURES
};
extern const char *const figure_names[N_FIGURES];	/* "exact_match", ... */
extern const char *const figure_titles[N_FIGURES];

struct answers {
	struct answered *v;	/* owned (n) */
	size_t n, n_answerable, n_abstained, n_failed;
	size_t n_before;	/* were in the log */
	size_t n_unknown;	/* questions left out: neither answers nor "answerable": false, or no gold passage */
	double seconds_p50;
	struct stats stats[N_FIGURES];
	size_t counts[N_FIGURES];	/* questions each is a mean of; 0: it has no meaning */
};

/* RAG_EINVAL: no question has an answer; RAG_ECANCEL by the progress function: what was
 * answered is in the log.  answers_release() after a failure too. */
int answers_run(struct answers *out, const struct judged *j, struct collection *c,
		const struct answers_opts *o);
void answers_release(struct answers *a);

#endif
