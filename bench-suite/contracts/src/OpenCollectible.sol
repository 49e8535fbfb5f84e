// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Erc721} from "./Erc721.sol";

/// Anyone mints the id they choose: two mints of different ids share no slot.
contract OpenCollectible is Erc721 {
    string public constant name = "Pleach Open Collectible";
    string public constant symbol = "PLOC";

    function mint(uint256 id) external {
        _create(msg.sender, id);
    }
}
