/* clock - seconds that only rise, to measure with.  Any thread. */
#ifndef RAG_BASE_CLOCK_H
#define RAG_BASE_CLOCK_H

double clock_now(void);

#endif
