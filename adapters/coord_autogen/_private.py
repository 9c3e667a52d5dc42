"""Every private part of AutoGen that the adapter relies on, and the check that it is there.

Why each is needed:

- `BaseGroupChat._participants`: the agents of a team, which it shows nowhere else.
- `BaseGroupChat._init`, `_initialized`, `_runtime`, `_team_id`, `_group_chat_manager_topic_type`:
  the address of a team's manager; the runtime's public `try_get_underlying_agent_instance` gives
  the object itself, before the first turn and at any time later.
- `BaseGroupChat._message_factory`: a team must know a structured message's class, or it dies.
- the managers' `select_speaker` (public), `update_message_thread` and
  `_apply_termination_condition`: who speaks next, and what an error in there was.
- `_next_speaker_index`, `_previous_speaker`, `_current_speaker`, `_ready`, `_remaining`,
  `_enqueued_any`: each kind's memory of whose turn it is, which a loop-back must move.
- `_current_turn`, `_max_turns`, `MaxMessageTermination._message_count`: how many turns are left.
- `_active_speakers`: whether AutoGen has left the team unusable.
- `_termination_condition`: replaced by one that asks the user's own, and can stop the chat.
- `MagenticOneOrchestrator._orchestrate_step`: its errors, which reach nobody else as they were.
- `AssistantAgent._model_context`, `ChatCompletionContext._messages`: an assistant's state, noted in
  every turn; the public way dumps the whole history each time.
- `SocietyOfMindAgent._team`, `TaskRunnerTool._task_runner`, `MessageFilterAgent._wrapped_agent` and
  `_filter`: the teams, agents and clients inside agents, and what an agent is not shown.
"""

from __future__ import annotations

from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import BaseGroupChat
from autogen_core.model_context import ChatCompletionContext

from coord_plugins.host import PrivateParts

PARTS = PrivateParts("coord_autogen", "AutoGen", "autogen-agentchat", tested=("0.7.4", "0.7.5"))
_CHATS = "autogen_agentchat.teams._group_chat"
_name = PARTS.name

BaseGroupChatManager: Any = _name(f"{_CHATS}._base_group_chat_manager", "BaseGroupChatManager")
_RoundRobin = _name(f"{_CHATS}._round_robin_group_chat", "RoundRobinGroupChatManager")
_Selector = _name(f"{_CHATS}._selector_group_chat", "SelectorGroupChatManager")
_Swarm = _name(f"{_CHATS}._swarm_group_chat", "SwarmGroupChatManager")
_Graph = _name(f"{_CHATS}._graph._digraph_group_chat", "GraphFlowManager")
_MAGENTIC = f"{_CHATS}._magentic_one._magentic_one_orchestrator"
_Magentic = _name(_MAGENTIC, "MagenticOneOrchestrator")
_Society = _name("autogen_agentchat.agents", "SocietyOfMindAgent")
_Filter = _name("autogen_agentchat.agents", "MessageFilterAgent")
_Runner = _name("autogen_agentchat.tools._task_runner_tool", "TaskRunnerTool")

_SET: dict[Any, str] = {
    BaseGroupChat: "_participants _runtime _initialized _team_id _message_factory _max_turns"
    " _group_chat_manager_topic_type _termination_condition _is_running",
    BaseGroupChatManager: "_message_thread _termination_condition _current_turn _max_turns"
    " _active_speakers",
    _RoundRobin: "_next_speaker_index",
    _Selector: "_previous_speaker",
    _Swarm: "_current_speaker",
    _Graph: "_graph _remaining _ready _triggered_activation_groups",
    _Society: "_team",
    _Runner: "_task_runner",
    AssistantAgent: "_model_context",
    ChatCompletionContext: "_messages",
    _Filter: "_wrapped_agent _filter",
    MaxMessageTermination: "_max_messages _message_count",
}
"""Attributes that a class must set when it is made."""
_HAS: dict[Any, str] = {
    BaseGroupChat: "_init",
    BaseGroupChatManager: "select_speaker update_message_thread _apply_termination_condition",
    _Graph: "_reset_execution_state",
    _Magentic: "_orchestrate_step",
}
"""Methods that a class must have."""


def assert_shape() -> None:
    """Check every private shape that the adapter relies on.

    Raises:
        UnsupportedHostError: One of them changed; names it and the last good version.
    """
    PARTS.check()
    for kind, names in _SET.items():
        missing = set(names.split()) - set(kind.__init__.__code__.co_names)
        if missing:
            PARTS.refuse(f"{kind.__name__} no longer sets {', '.join(sorted(missing))}")
    for kind, names in _HAS.items():
        missing = {name for name in names.split() if not hasattr(kind, name)}
        if missing:
            PARTS.refuse(f"{kind.__name__} lost {', '.join(sorted(missing))}")
