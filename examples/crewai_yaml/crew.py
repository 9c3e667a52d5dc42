"""A crew as `crewai create crew` lays it out. It knows nothing of this library."""
# ruff: noqa: D102

from crewai import Agent, Crew, Process, Task
from crewai.project import CrewBase, agent, crew, task
from scripted import ScriptedLLM

MODEL = ScriptedLLM(model="scripted")  # in a project of yours: LLM(model="openai/gpt-4o-mini")


@CrewBase
class SupportCrew:
    """Answers a billing ticket: research, write, publish."""

    agents_config = "config/agents.yaml"
    tasks_config = "config/tasks.yaml"

    @agent
    def researcher(self) -> Agent:
        return Agent(config=self.agents_config["researcher"], llm=MODEL)

    @agent
    def writer(self) -> Agent:
        return Agent(config=self.agents_config["writer"], llm=MODEL)

    @agent
    def dispatcher(self) -> Agent:
        return Agent(config=self.agents_config["dispatcher"], llm=MODEL)

    @task
    def research(self) -> Task:
        return Task(config=self.tasks_config["research"])

    @task
    def write(self) -> Task:
        return Task(config=self.tasks_config["write"])

    @task
    def publish(self) -> Task:
        return Task(config=self.tasks_config["publish"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)
